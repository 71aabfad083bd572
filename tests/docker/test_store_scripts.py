"""The stores of `make up` learn the roles by the scripts of docker/, run here with the servers' binaries."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.local.ports import free_ports
from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.local.store_roles import ROLES
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.docker.test_compose import DOCKER, write_environment
from tests.s3_servers import S3Servers, binary_of

BUCKET = "of-make-up"


def told(folder: Path) -> dict[str, str]:
    """The variables that compose.yaml hands to the store, with what environment.sh drew."""
    drawn = write_environment(folder / "env")
    pairs = {role.upper(): f"S3_{role.upper()}_" for role in ROLES} | {"ADMINISTRATOR": "S3_"}
    names = {name: f"{drawn[f'{of}ACCESS_KEY']} {drawn[f'{of}SECRET_KEY']}" for name, of in pairs.items()}
    beside_python = str(Path(sys.executable).parent)
    return names | {
        "PNEUMO_BUCKET": BUCKET,
        "SENDER_PREFIX": "site-a",
        "PATH": f"{beside_python}:/usr/bin:/bin",
    }


def opened(endpoint: str, pair: str) -> ObjectStore:
    access, secret = pair.split()
    own = {"s3_endpoint": endpoint, "bucket": BUCKET, "s3_access_key": access, "s3_secret_key": secret}
    return ObjectStore.connect(Settings.load(own))


def initialise(endpoint: str, pairs: dict[str, str]) -> str:
    """The part of start.sh that the service `init` runs: it makes the bucket; returns what it says."""
    program = (DOCKER / "start.sh").read_text().split("python - << 'PYTHON'\n")[1].split("\nPYTHON\n")[0]
    access, secret = pairs["PIPELINE"].split()
    own = {"PNEUMO_S3_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **pairs, **own}, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def check_roles(endpoint: str, pairs: dict[str, str]) -> None:
    """What `init` does, and then one thing that each role may do and one that it may not."""
    assert "its store honours conditional writes, and tasks may write to it" in initialise(endpoint, pairs)
    stores = {role: opened(endpoint, pairs[role.upper()]) for role in ROLES}
    stores["sender"].put("incoming/site-a-1/film", b"film")
    stores["pipeline"].put("models/v/model.keras", b"model")
    stores["pipeline"].put("validations/b/d/facts.parquet", b"facts")
    stores["scheduler"].put("runs/r/failures/t.json", b"why")
    stores["reviewer"].put("champion.json", b"pointer")
    for role in ("reader", "deployment"):
        assert stores[role].read("models/v/model.keras") == b"model"
    stores["eraser"].delete("incoming/site-a-1/film")
    refused = {
        "sender": lambda store: store.put("incoming/site-b-1/film", b"film"),
        "pipeline": lambda store: store.delete("models/v/model.keras"),
        "scheduler": lambda store: store.put("champion.json", b"mine"),
        "reviewer": lambda store: store.put("validations/b/d/facts.parquet", b"mine"),
        "reader": lambda store: store.read("validations/b/d/facts.parquet"),
        "deployment": lambda store: store.read("validations/b/d/facts.parquet"),
        "eraser": lambda store: store.client.create_bucket(Bucket="another"),
    }
    for role, attempt in refused.items():
        with pytest.raises(BadConfiguration, match="AccessDenied"), stores[role]._mapped(role):
            attempt(stores[role])


def wait_for(endpoint: str, pair: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            opened(endpoint, pair).exists("anything")
        except BadConfiguration:  # it answers: there is no bucket yet
            return
        except StorageUnavailable:
            if time.monotonic() > deadline:
                raise


@pytest.fixture
def seaweed(environment: None, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The script that the container starts, on ports and in a folder of the test's own."""
    pairs, ports = told(tmp_path), free_ports(4)
    names = [f"-{name}={port}" for name, port in
             zip(("s3.port", "master.port", "volume.port", "filer.port"), ports, strict=True)]  # fmt: skip
    (tmp_path / "data").mkdir()
    with (tmp_path / "weed.log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", DOCKER / "seaweedfs.sh", f"-dir={tmp_path / 'data'}", *names],
            env={**pairs, "IDENTITIES": str(tmp_path / "identities.json"),
                 "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
            stdout=log, stderr=log, cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
    endpoint = f"http://127.0.0.1:{ports[0]}"
    try:
        wait_for(endpoint, pairs["ADMINISTRATOR"])
        yield endpoint, pairs
    finally:
        files = seaweedfs.socket_files(process.pid)
        held = psutil.Process(process.pid).environ()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for file in files:
            file.unlink(missing_ok=True)
    assert not {*held} & {*pairs} - {"PNEUMO_BUCKET", "SENDER_PREFIX", "PATH"}


def test_seaweedfs_knows_the_roles_that_make_up_drew(seaweed: tuple[str, dict[str, str]]) -> None:
    check_roles(*seaweed)


WRITES_DOWN = """#!/bin/sh
printf '%s\\n' "$*" >> "$WORK/told"
case $3 in attach) exit 1;; entities) echo "  Policies: $ATTACHED";; esac
"""


@pytest.mark.parametrize("attached", [True, False], ids=["attached before", "refused"])
def test_minios_client_is_told_each_policy_of_this_bucket_and_a_refusal_is_not_passed_over(
    tmp_path: Path, attached: bool
) -> None:
    """What the client is told; that MinIO does it only the next test can say."""
    pairs, told_to = told(tmp_path), tmp_path / "told"
    (tmp_path / "mc").write_text(WRITES_DOWN)
    (tmp_path / "mc").chmod(0o700)
    own = {"WORK": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    own["ATTACHED"] = ",".join(f"pneumo-{role}" for role in ROLES) if attached else "none"
    done = subprocess.run(
        ["sh", DOCKER / "minio-roles.sh"], env=pairs | own, capture_output=True, check=False
    )
    assert done.returncode == (0 if attached else 1)
    lines = told_to.read_text().splitlines()
    assert lines[0].endswith(pairs["ADMINISTRATOR"])
    for role in ROLES if attached else ROLES[:1]:
        assert f"admin user add store {pairs[role.upper()]}" in lines
        text = (tmp_path / f"{role}.json").read_text()
        template = (DOCKER / "policies" / f"{role}.json").read_text()
        assert text == template.replace("BUCKET", BUCKET).replace("PREFIX", "site-a")


@pytest.mark.skipif(
    not binary_of("minio") or not shutil.which("mc"),
    reason="there is no minio, or no client of it, on the PATH",
)
def test_minio_is_told_the_roles_twice_and_knows_them(
    environment: None, tmp_path: Path, s3_minio: S3Server
) -> None:
    administrator = f"{s3_minio.access_key} {s3_minio.secret_key}"
    pairs = told(tmp_path) | {"ADMINISTRATOR": administrator}
    own = {"SERVER": s3_minio.endpoint, "MC_CONFIG_DIR": str(tmp_path / "mc"), "PATH": os.environ["PATH"]}
    for _ in range(2):
        done = subprocess.run(
            ["sh", DOCKER / "minio-roles.sh"], env=pairs | own, capture_output=True, text=True, check=True
        )
        assert "knows the roles" in done.stdout
    check_roles(s3_minio.endpoint, pairs)


@pytest.fixture
def s3_minio(all_s3_servers: S3Servers) -> S3Server:
    return all_s3_servers.server("minio")
