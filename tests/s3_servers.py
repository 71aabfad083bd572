"""The S3 servers that tests may run on: which are present, how each is started, and how it ends."""

import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.local.ports import free_ports
from pneumo_tasks.local.seaweedfs import S3Server

CHOICE = "PNEUMO_TEST_S3"
DEFAULT = "seaweedfs"
PATIENCE = 60.0  # seconds that a server may take to start


@dataclass(frozen=True)
class Binary:
    """How one server is started: arguments, the variables of its credentials, where it says it is ready."""

    arguments: tuple[str, ...]
    access_key: str
    secret_key: str
    health: str
    environment: Mapping[str, str] = field(default_factory=dict)


BINARIES = {
    "minio": Binary(
        ("server", "--quiet", "--address", "127.0.0.1:{port}", "{data}"),
        "MINIO_ROOT_USER",
        "MINIO_ROOT_PASSWORD",
        "/minio/health/ready",
        {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"},
    ),
    # Over a folder whose file system has to keep extended attributes.
    "versitygw": Binary(
        ("--port", "127.0.0.1:{port}", "--quiet", "--health", "/health", "posix", "{data}"),
        "ROOT_ACCESS_KEY",
        "ROOT_SECRET_KEY",
        "/health",
    ),
}
KINDS = ("seaweedfs", *BINARIES)


class S3Servers:
    """One running server of each kind that a test asked for; all of them end with the session.

    ``chosen`` is what the whole suite runs on: a kind, or the URL of a server that runs elsewhere, whose
    credentials are the AWS variables of the caller.
    """

    def __init__(self, folder: Path, chosen: str) -> None:
        self.folder, self.chosen = folder, chosen
        self.running: dict[str, S3Server] = {}

    def server(self, kind: str) -> S3Server:
        """The running server of this kind, started on first use; BadConfiguration where it is not present."""
        if kind not in self.running:
            self.running[kind] = self._start(kind)
        return self.running[kind]

    def stop(self) -> None:
        for server in self.running.values():
            if server.pid:
                os.killpg(server.pid, signal.SIGKILL)

    def _start(self, kind: str) -> S3Server:
        if is_url(kind):
            return S3Server(kind, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], pid=0)
        if kind == "seaweedfs":
            os.environ.setdefault("WEED_S3_SSE_KEY", "of the tests")  # without a key it encrypts nothing
            return seaweedfs.start(self.folder / kind)
        return _start_binary(kind, self.folder / kind)


def chosen() -> str:
    return os.environ.get(CHOICE) or DEFAULT


def why_not(kind: str) -> str:
    """What keeps the suite from running on this choice; empty where nothing does."""
    if is_url(kind):
        missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if name not in os.environ]
        return f"{CHOICE}={kind} needs {' and '.join(missing)}" if missing else ""
    if kind not in KINDS:
        return f"{CHOICE}={kind}: one of {', '.join(KINDS)}, or a URL"
    return "" if is_present(kind) else f"{CHOICE}={kind}: there is no {kind} binary on the PATH"


def is_url(kind: str) -> bool:
    return kind.startswith(("http://", "https://"))


def contract_kinds() -> list[str]:
    """What the contract is run on: every kind, present or not, and the URL where one was chosen."""
    return [*KINDS] if chosen() in KINDS else [*KINDS, chosen()]


def is_present(kind: str) -> bool:
    return kind == "seaweedfs" or binary_of(kind) is not None


def binary_of(kind: str) -> str | None:
    """The binary on the PATH, else the one that .ci/run built into the cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return shutil.which(kind) or shutil.which(kind, path=str(cache / "pneumo" / "bin"))


def _start_binary(kind: str, folder: Path) -> S3Server:
    """Start a server on the loopback interface with credentials drawn here, and wait until it is ready."""
    how, binary = BINARIES[kind], binary_of(kind)
    if binary is None:
        raise BadConfiguration(
            f"there is no {kind} binary on the PATH",
            do=f"Build it with Go as .ci/run does, or unset {CHOICE}.",
        )
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    own = {how.access_key: access_key, how.secret_key: secret_key, **how.environment}
    command = [text.format(port=port, data=folder / "data") for text in how.arguments]
    with (folder / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen(
            [binary, *command],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True,
            env={**os.environ, **own},
        )  # fmt: skip
    server = S3Server(f"http://127.0.0.1:{port}", access_key, secret_key, process.pid)
    deadline = time.monotonic() + PATIENCE
    while not _is_ready(f"{server.endpoint}{how.health}"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise StorageUnavailable(f"{kind} did not start", where=str(folder / f"{kind}.log"))
        time.sleep(0.1)
    return server


def _is_ready(url: str) -> bool:
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with without_proxy.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
