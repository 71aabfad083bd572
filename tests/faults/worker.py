"""A run of the whole pipeline, its stages in tasks of a worker, on an S3 server of its own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from pneumo_tasks.intake.records.attempts import MOST_TRIES
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.local import seaweedfs
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from tests.faults.proxy import Proxy
from tests.faults.stage_process import DONE, RETRY, RUN_ID, STAGES
from tests.intake.films import good_files, write
from tests.promotion.history import PERMISSIVE

PROJECT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL
MOST, SHARE_OF_SERVER = 4, 0.25  # kills of a stage; how many of them are of the S3 server
PATIENCE = 15.0  # seconds until nothing that a killed task began may be alive


@dataclass
class Server:
    """An S3 server that may be killed; it comes up again where it was, behind the proxy's address."""

    folder: Path
    proxy: Proxy = field(init=False)

    def __post_init__(self) -> None:
        self.running = seaweedfs.start(self.folder)
        self.proxy = Proxy(self.running.endpoint).start()

    def kill(self) -> None:
        sockets = seaweedfs.socket_files(self.running.pid)
        os.killpg(self.running.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.running.pid, 0)
        for path in sockets:
            path.unlink(missing_ok=True)

    def start_again(self) -> None:
        self.running = seaweedfs.start(self.folder)
        self.proxy.endpoint = self.running.endpoint


@dataclass
class Worker:
    """Runs stages in tasks of their own; ``stage`` may be killed, or the server under it."""

    process: "subprocess.Popen[str]"
    server: Server

    @classmethod
    def start(cls, server: Server) -> Self:
        command = [sys.executable, "-m", "tests.faults.stage_process"]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "GX_ANALYTICS_ENABLED": "false"}
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=PROJECT, env=quiet, stdin=pipe, stdout=pipe, text=True)
        return cls(process, server)

    def stage(self, name: str, history: "History", kill: tuple[str, float] | None = None) -> int:
        """Run a stage; ``kill`` says what ("task" or "server") and after how many seconds. How it ended."""
        assert self.process.stdin
        assert self.process.stdout
        line = {"stage": name, "folder": str(history.folder), "environment": history.environment}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        task = int(self.process.stdout.readline())
        history.sessions.append(task)
        if kill is not None:
            time.sleep(kill[1])
            if kill[0] == "server":
                self.server.kill()
                time.sleep(kill[1] % 0.7)
                self.server.start_again()
            else:
                with suppress(ProcessLookupError):
                    os.kill(task, signal.SIGKILL)
        return int(self.process.stdout.readline())


@dataclass
class History:
    """One run in a bucket and in folders of its own."""

    folder: Path
    environment: dict[str, str]
    sessions: list[int] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    @classmethod
    def new(cls, folder: Path, server: Server, name: str, disk: Path | None = None) -> Self:
        """Without a kill yet; what tasks write for a moment, and the cache, lie on ``disk``."""
        for batch_id, files in (("a", good_files(40)), ("b", good_files(24, start=100))):
            write(folder / batch_id, files)
        for own in ("tmp", "cache"):
            ((disk or folder) / own).mkdir()
        environment = PERMISSIVE | {
            "PNEUMO_S3_ENDPOINT": server.proxy.url, "PNEUMO_BUCKET": f"kills-{name}", "PNEUMO_DEMO": "true",
            "PNEUMO_S3_ACCESS_KEY": server.running.access_key, "PNEUMO_SPLIT_SALT": "pneumo",
            "PNEUMO_S3_SECRET_KEY": server.running.secret_key, "PNEUMO_BACKBONE_WEIGHTS": "random",
            "PNEUMO_CACHE_FOLDER": str((disk or folder) / "cache"), "TMPDIR": str((disk or folder) / "tmp"),
            "PNEUMO_TEST_SENDERS": "*",
        }  # fmt: skip
        return cls(folder, environment)

    def open(self) -> tuple[Settings, ObjectStore]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            settings = Settings.load()
        return settings, ObjectStore.connect(settings)

    def play(self, worker: Worker, dice: random.Random, lasting: Mapping[str, float]) -> dict[str, float]:
        """Every stage until it is done, killed on the way where ``lasting`` says how long it takes."""
        took = {}
        for name in STAGES:
            for number in range(MOST + 30):
                kill = None
                if lasting and number < MOST and dice.random() < 0.8:
                    what = "server" if dice.random() < SHARE_OF_SERVER else "task"
                    kill = what, dice.uniform(0.0, 0.9 * lasting[name])
                if name.startswith("validate") and number >= MOST_TRIES - 1:
                    kill = (
                        None  # a batch that ends its process each time is refused, and that is another test
                    )
                began = time.monotonic()
                ended = worker.stage(name, self, kill)
                took[name] = time.monotonic() - began
                if ended == KILLED or (kill and kill[0] == "server"):
                    self.kills[f"{name}: {kill[0] if kill else 'by nobody'}"] += 1
                assert ended in (DONE, KILLED, RETRY), self.said()
                if ended == DONE:
                    break
            else:
                raise AssertionError(f"{name} did not end: {self.said()}")
        return took

    def said(self) -> str:
        """The traceback of the last stage that raised."""
        path = self.folder / "error.txt"
        return path.read_text() if path.exists() else ""

    def outcome(self) -> dict[str, object]:
        """What the run came to, without its times."""
        _, store = self.open()
        register = read_register(store)
        return {
            "homes": dict(register.homes) if register else {},
            "candidate": read_candidate(store, RUN_ID).sha256,
            "decision": read_decision(store, RUN_ID).decision,
            "ledger": [(entry.kind, entry.run_id, entry.version) for entry in ledger.read_ledger(store)],
            "state": show_run(store, RUN_ID).state,
        }

    def check(self) -> None:
        """One entry in the ledger, every digest right, and nothing left on this machine."""
        settings, store = self.open()
        assert len(ledger.read_ledger(store)) == 1
        assert [found for found in verify(settings, store) if found.verdict != "pass"] == []
        deadline = time.monotonic() + PATIENCE
        while (alive := alive_in(self.sessions)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert alive == [], "what a task began outlives it"
        assert [path.name for path in Path(self.environment["TMPDIR"]).iterdir()] == []
        kept = [path for path in Path(self.environment["PNEUMO_CACHE_FOLDER"]).rglob("*") if path.is_file()]
        assert [path.name for path in kept if path.suffix != ".npy"] == []


def alive_in(sessions: list[int]) -> list[str]:
    """The processes of these sessions that still run."""
    found = []
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        with suppress(OSError):
            if os.getsid(pid) in sessions:
                status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                found += [f"{pid} {command}"] if status != "Z" else []
    return found


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    server = Server(tmp_path_factory.mktemp("s3"))
    running = Worker.start(server)
    yield running
    assert running.process.stdin
    running.process.stdin.close()
    running.process.wait(60)
    server.kill()
    server.proxy.stop()
