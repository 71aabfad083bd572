"""The demo's store knows a role for each process; the files say which process and which command has which."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pneumo_tasks.cli import COMMANDS as TYPED
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local import airflow_server, seaweedfs
from pneumo_tasks.local.demo_data import Handover, hand_in
from pneumo_tasks.local.environment_file import write_environment
from pneumo_tasks.local.stack import _make_bucket
from pneumo_tasks.local.store_roles import (
    COMMANDS,
    COMPONENTS,
    PERSON,
    ROLES,
    role_of,
    variables_of,
    write_identities,
    write_roles,
)
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.films import good_files, write

BUCKET = "roles-of-the-demo"


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Path]:
    """A store as the stack starts it, on data of a release with one credential; yields its role files."""
    folder = tmp_path / "s3"
    folder.mkdir(mode=0o700)
    former = {"name": "pneumo", "credentials": [{"accessKey": "former", "secretKey": "of-a-former-release"}]}
    (folder / "identities.json").write_text(json.dumps({"identities": [former | {"actions": ["Admin"]}]}))
    pairs = write_identities(folder / "identities.json", BUCKET)
    server = seaweedfs.start(folder)
    assert (server.access_key, server.secret_key) == ("former", "of-a-former-release")
    _make_bucket(server, BUCKET)
    write_roles(tmp_path / "roles", pairs, server.endpoint, BUCKET)
    yield tmp_path / "roles"
    files = seaweedfs.socket_files(server.pid)
    psutil.Process(server.pid).kill()
    for file in files:
        file.unlink(missing_ok=True)


def store_of(roles: Path, role: str) -> tuple[Settings, ObjectStore]:
    connection = json.loads(variables_of(roles, role)["AIRFLOW_CONN_PNEUMO_S3"])
    settings = Settings.load(
        {"s3_endpoint": connection["extra"]["endpoint_url"], "bucket": connection["extra"]["bucket"],
         "s3_access_key": connection["login"], "s3_secret_key": connection["password"]}
    )  # fmt: skip
    return settings, ObjectStore.connect(settings)


def test_the_demo_sends_as_somebody_who_can_do_nothing_else(roles: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "films", good_files(4))
    sent = Handover(folder, "films-1", "train", False, 4)
    settings, sender = store_of(roles, "sender")
    assert hand_in(settings, sender, sent, lambda *_: None)
    assert not hand_in(settings, sender, sent, lambda *_: None), "it is there already"
    for key in ("champion.json", "validations/films-1/d/result.json"):
        with pytest.raises(BadConfiguration, match="AccessDenied"):
            sender.put(key, b"mine")
    _, reading = store_of(roles, "scheduler")
    assert reading.exists("incoming/films-1/batch.json")
    with pytest.raises(BadConfiguration, match="AccessDenied"):
        reading.put("champion.json", b"mine")


def test_pairs_that_are_there_stay_and_each_role_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s3" / "identities.json"
    first = write_identities(path, BUCKET)
    assert write_identities(path, "another") == first
    assert len({*first.values()}) == len(ROLES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "arn:aws:s3:::another/*" in path.read_text()
    assert BUCKET not in path.read_text(), "a role reaches the bucket that the stack serves, and no other"


def test_each_component_of_airflow_gets_the_variables_of_its_role_and_no_other(tmp_path: Path) -> None:
    for role in ROLES:
        (tmp_path / "roles").mkdir(exist_ok=True)
        write_environment(tmp_path / "roles" / role, {"AWS_ACCESS_KEY_ID": role})
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s" "$AWS_ACCESS_KEY_ID"\n')
    python.chmod(0o700)
    airflow = airflow_server._airflow_of_ours(tmp_path / "home", python, tmp_path / "roles") / "airflow"
    said = {
        name: subprocess.run([airflow, name], capture_output=True, text=True, check=True, env={}).stdout
        for name in ("scheduler", "dag-processor", "api-server", "triggerer", "standalone")
    }
    assert said == {name: COMPONENTS.get(name, "") for name in said}
    assert said["scheduler"] == "pipeline"


@pytest.mark.parametrize(
    ("words", "role"),
    [
        ("-v batch upload films --batch-id receive", "sender"),
        ("batch list --json", PERSON),
        ("predict film.jpeg", "deployment"),
        ("models download m.keras", "deployment"),
        ("models rollback VERSION", PERSON),
        ("retrain --set force=true", "pipeline"),
        ("prune", "eraser"),
        ("--help", PERSON),
        ("", PERSON),
    ],
)
def test_a_command_works_in_the_role_of_its_work(words: str, role: str) -> None:
    assert role_of(words.split()) == role


def test_every_command_that_has_a_role_is_one() -> None:
    assert {words[0] for words in COMMANDS} <= set(TYPED)
    assert {*COMMANDS.values(), *COMPONENTS.values(), PERSON} == set(ROLES)


SAY = """
import os, sys
from pneumo_tasks import cli
cli.app = lambda: print(os.environ["AWS_ACCESS_KEY_ID"])
cli.main()
"""


@pytest.mark.parametrize(
    ("shell", "key"),
    [
        ({}, "sender"),
        ({"AWS_ACCESS_KEY_ID": PERSON}, "sender"),  # a shell that has read .local/env
        ({"AWS_ACCESS_KEY_ID": "of-another-store"}, "of-another-store"),
    ],
    ids=["nothing", "what .local/env says", "its own"],
)
def test_a_command_in_the_projects_root_signs_in_as_its_role_unless_the_shell_says_otherwise(
    tmp_path: Path, shell: dict[str, str], key: str
) -> None:
    (tmp_path / ".local" / "roles").mkdir(parents=True)
    write_environment(tmp_path / ".local" / "env", {"AWS_ACCESS_KEY_ID": PERSON})
    write_environment(tmp_path / ".local" / "roles" / "sender", {"AWS_ACCESS_KEY_ID": "sender"})
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **shell}
    done = subprocess.run(
        [sys.executable, "-c", SAY, "batch", "upload", "films"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == key
