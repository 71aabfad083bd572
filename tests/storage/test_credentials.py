"""Whose credentials are used, and one sentence where they are broken: by every command, the doctor too."""

import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.credentials import describe_credentials
from pneumo_tasks.storage.object_reader import ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore

ROLE = "arn:aws:iam::123456789012:role/pneumo"
ANSWER = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken></SessionToken><Expiration>{until}</Expiration></Credentials>
<AssumedRoleUser><Arn>{role}</Arn><AssumedRoleId>A:pneumo</AssumedRoleId></AssumedRoleUser>
</AssumeRoleResult></AssumeRoleResponse>"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the AWS files, empty, and no key in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.fixture
def asked(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, list[str]]]]:
    """A server of roles, whose keys are the store's and count for a moment; what it was asked."""
    found: list[dict[str, list[str]]] = []

    class Roles(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            until = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
            body = ANSWER.format(
                key=s3_server.access_key, secret=s3_server.secret_key, until=until, role=ROLE
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Roles)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
    yield found
    server.shutdown()


def test_a_role_is_assumed_again_before_its_keys_expire(
    settings: Settings, store: ObjectStore, asked: list[dict[str, list[str]]]
) -> None:
    store.put("film", b"1")
    given = {"s3_role_arn": ROLE, "s3_role_external_id": "clinic", "s3_region": "us-east-1"}
    own = settings.model_copy(update=given)
    working = ObjectStore.connect(own)
    assert working.read("film") == working.read("film") == b"1"  # keys of two seconds: each read renews them
    assert len(asked) >= 2
    assert (asked[0]["RoleArn"], asked[0]["ExternalId"]) == ([ROLE], ["clinic"])
    before = len(asked)
    assert ObjectReader.connect(own).read("film").body == b"1"
    assert len(asked) > before
    assert ROLE in describe_credentials(own)


def test_a_token_goes_with_its_keys(settings: Settings) -> None:
    own = settings.model_copy(
        update={
            "s3_access_key": SecretStr("a"), "s3_secret_key": SecretStr("b"),
            "s3_session_token": SecretStr("c"),
        }
    )  # fmt: skip
    found = ObjectStore.connect(own).client._request_signer._credentials  # type: ignore[attr-defined]
    assert (found.access_key, found.token) == ("a", "c")
    with pytest.raises(BadConfiguration, match="s3_session_token goes with") as refused:
        Settings.load({"s3_session_token": "hush-hush"})
    assert "hush-hush" not in str(refused.value)


def test_a_profile_of_the_settings_is_used(settings: Settings, files: Path, s3_server: S3Server) -> None:
    (files / "credentials").write_text(
        f"[clinic]\naws_access_key_id={s3_server.access_key}\naws_secret_access_key={s3_server.secret_key}\n"
    )
    own = settings.model_copy(update={"s3_profile": "clinic"})
    ObjectStore.connect(own).ensure_bucket()
    assert describe_credentials(own).startswith("of ~/.aws/credentials, key ")


BROKEN = {
    "a profile that is not there": ({"AWS_PROFILE": "nobody"}, ""),
    "a file that is no configuration": ({}, "[default\nregion"),
    "a process that fails": ({}, "[default]\ncredential_process = /bin/false\n"),
    "a process that is not there": ({}, "[default]\ncredential_process = /nowhere/at-all\n"),
    "a process that prints no JSON": ({}, "[default]\ncredential_process = /bin/echo hello\n"),
    "a process that prints half": ({}, '[default]\ncredential_process = /bin/echo {"Version": 1}\n'),
    "half a pair": ({"AWS_ACCESS_KEY_ID": "half"}, ""),
    "an endpoint without a scheme": ({"PNEUMO_S3_ENDPOINT": "store:9000", "AWS_ACCESS_KEY_ID": "a",
                                      "AWS_SECRET_ACCESS_KEY": "b"}, ""),
    "an authority that is not there": ({"AWS_CA_BUNDLE": "/nowhere/ca.pem", "AWS_ACCESS_KEY_ID": "a",
                                        "AWS_SECRET_ACCESS_KEY": "b"}, ""),
    "no credentials at all": ({}, ""),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_credentials_are_one_line_of_every_command(
    settings: Settings, files: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    variables, config = BROKEN[broken]
    (files / "config").write_text(config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    doctor = CliRunner().invoke(app, ["doctor"])
    assert doctor.exit_code == 2, doctor.output
    assert isinstance(doctor.exception, SystemExit)
    lines = doctor.output.splitlines()
    assert any(
        line.startswith(("FAIL  settings: ", "FAIL  credentials: ", "FAIL  store: ")) for line in lines
    ), lines
    assert all(line.startswith(("ok    ", "FAIL  ")) for line in lines), lines
    listing = CliRunner().invoke(app, ["runs", "list"])
    assert isinstance(listing.exception, BadConfiguration), listing.exception
    assert "\n" not in str(listing.exception)
