"""A canary in every secret: no channel sings."""

import io
import json
import logging
import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from pneumo_tasks import journal
from pneumo_tasks.commands.terminal.output import say
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local.environment_file import load_local_environment
from pneumo_tasks.secret_values import SecretFilter, guard_logging, is_open_way, without_secrets
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

CANARY = "canary-7f3a9c-canary"
NAMES = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PNEUMO_AIRFLOW_PASSWORD", "PNEUMO_PSEUDONYM_KEY",
    "PNEUMO_SPLIT_SALT", "PNEUMO_NOTIFIER", "PNEUMO_SIGNING_KEY", "AIRFLOW__CORE__FERNET_KEY",
)  # fmt: skip


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, f"{CANARY}-{name.lower()}")


def test_settings_show_no_secret_of_theirs(canaries: None) -> None:
    settings = Settings.load()
    for shown in (repr(settings), str(settings), f"{settings!r}"):
        assert CANARY not in shown


@pytest.mark.parametrize("name", ["s3_endpoint", "airflow_url"])
@pytest.mark.parametrize(
    "url", [f"http://user:{CANARY}@127.0.0.1:9000", f"https://{CANARY}@host", f"ftp://{CANARY}/", CANARY]
)
def test_a_url_with_a_password_or_of_another_kind_is_refused_and_not_repeated(name: str, url: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        Settings.load({name: url})
    assert name in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("key", ["k", "aaaaaaaaaaaaaaaaaaaaaaaa", "short-key"])
def test_a_pseudonym_key_that_can_be_guessed_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(BadConfiguration, match="at least 16 characters") as caught:
        Settings.load({"pseudonym_key": SecretStr(key)})
    assert key not in str(caught.value).replace("pseudonym_key", "").replace("characters", "") or key == "k"


def test_no_canary_sings_in_logs_tracebacks_terminals_and_records(
    store: ObjectStore, canaries: None, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secrets = [os.environ[name] for name in NAMES]
    caplog.handler.addFilter(SecretFilter())
    log = logging.getLogger("botocore.auth")
    log.warning("x-amz-security-token:%s", secrets[1])
    try:
        raise ValueError(f"cannot reach http://user:{secrets[0]}@host")
    except ValueError:
        log.exception("failed with %s", secrets)
    say(f"pneumo: {' '.join(secrets)}")
    journal.record_start(store, "run", {})
    journal.record_failure(store, "run", "task", f"Could not connect: {' '.join(secrets)}")
    record = json.dumps(store.read_json(layout.run("run", "failures/task~-1.json")))
    for channel in (caplog.text, capsys.readouterr().out, record):
        assert CANARY not in channel
        assert "***" in channel


def test_every_handler_of_a_process_is_guarded_once(canaries: None, caplog: pytest.LogCaptureFixture) -> None:
    said = io.StringIO()
    logger, handler = logging.getLogger("a library of others"), logging.StreamHandler(said)
    logger.addHandler(handler)
    try:
        guard_logging()
        guard_logging()
        logger.warning("signed with %s", os.environ[NAMES[0]])
        filters = [one for one in handler.filters if isinstance(one, SecretFilter)]
    finally:
        logger.removeHandler(handler)
    assert CANARY not in said.getvalue()
    assert "signed with ***" in said.getvalue()
    assert len(filters) == 1


def test_a_password_inside_a_url_is_hidden_wherever_it_stands() -> None:
    assert without_secrets("see postgresql://airflow:hunter22@db/x", []) == "see postgresql://***@db/x"


@pytest.mark.parametrize(
    ("url", "is_open"),
    [("http://127.0.0.1:9000", False), ("http://localhost", False), ("https://s3.example", False),
     ("http://s3.example", True), ("http://10.0.0.7:9000", True)],
)  # fmt: skip
def test_plain_http_to_another_machine_is_known_to_be_open(url: str, is_open: bool) -> None:
    assert is_open_way(url) is is_open


@pytest.mark.parametrize("name", ["s3_endpoint", "airflow_url"])
def test_nothing_goes_in_clear_to_a_machine_that_is_not_named(name: str) -> None:
    for url in (
        "http://s3.example:9000",
        "http://10.0.0.7",
        "ftp://s3.example",
        "http://127.0.0.1.evil.example",
    ):
        with pytest.raises(BadConfiguration) as caught:
            Settings.load({name: url})
        assert url not in str(caught.value)
    with pytest.raises(BadConfiguration, match=f"{name} is http:// .* PNEUMO_OPEN_HOSTS"):
        Settings.load({name: "http://s3:9000", "open_hosts": "minio, s3.example"})
    for url in (
        "http://s3:9000",
        "http://S3:9000",
        "https://elsewhere",
        "http://127.0.0.1:1",
        "http://[::1]:1",
    ):
        assert getattr(Settings.load({name: url, "open_hosts": "minio, s3"}), name) == url


def test_the_services_of_compose_reach_each_other() -> None:
    text = (Path(__file__).parents[1] / "docker" / "compose.yaml").read_text()
    (endpoint,) = set(re.findall(r"PNEUMO_S3_ENDPOINT-(http[^}]+)}", text))
    (hosts,) = set(re.findall(r"PNEUMO_OPEN_HOSTS-([^}]+)}", text))
    assert Settings.load({"s3_endpoint": endpoint, "open_hosts": hosts}).s3_endpoint == endpoint


def test_only_our_own_variables_are_read_from_the_folder_that_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("AWS_CONFIG_FILE", "LD_PRELOAD", "PYTHONSTARTUP", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD")
    for name in (*names, "PNEUMO_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    env = tmp_path / "env"
    env.write_text("".join(f"{name}='x'\n" for name in names) + "PNEUMO_BUCKET='theirs'\n")
    load_local_environment(env)
    assert os.environ.pop("PNEUMO_BUCKET") == "theirs"
    assert not any(name in os.environ for name in names)


def test_a_file_of_another_user_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PNEUMO_BUCKET", raising=False)
    env = tmp_path / "env"
    env.write_text("PNEUMO_BUCKET='theirs'\n")
    monkeypatch.setattr(os, "getuid", lambda: env.stat().st_uid + 1)
    load_local_environment(env)
    assert "PNEUMO_BUCKET" not in os.environ
