"""A real Airflow on Postgres with two schedulers, and a bucket with two batches, to tell stories in.

Used by ``two_schedulers.py``; everything is below one folder, and ends with it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore_drill import Database

PROJECT = Path(__file__).resolve().parents[1]
DAG = "pneumonia_retraining"
BUCKET = "two-schedulers"
ENDED = ("success", "failed")
PATIENCE = 1200.0
# Before our DAG file: a recipe that trains in seconds, and a training that holds the interpreter where told.
PRELUDE = """
import dataclasses as _dataclasses
from pathlib import Path as _Path
from pneumo_tasks import pipeline as _pipeline
from pneumo_tasks.training import recipes as _recipes
_recipes.RECIPES["vgg16-block5"] = _dataclasses.replace(_recipes.RECIPES["vgg16-block5"], image_size=48)
_train, _told = _pipeline.train, _Path(__file__).parent / "hold"
def _held(run, snapshot_id):
    import ctypes, os
    if _told.exists():
        import tensorflow
        _told.with_name("held").write_text(str(os.getpid()))
        _told.unlink()
        lock, libc = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
        libc.pthread_mutex_lock(lock), libc.pthread_mutex_lock(lock)  # in C, for ever, whatever the signal
    return _train(run, snapshot_id)
_pipeline.train = _held
"""


@dataclass
class Lab:
    """What runs, and how it is asked."""

    folder: Path
    store: Any
    client: Any
    environment: dict[str, str]
    components: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        return self.folder / "project" / "dags"

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.components[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *words], env=self.environment, cwd=self.folder,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def airflow(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return f"exit {done.returncode}: {(done.stdout + done.stderr)[-600:]}"

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.components.pop(name)
        with_group = how == signal.SIGKILL
        if process.poll() is None:
            os.killpg(process.pid, how) if with_group else process.send_signal(how)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)

    def runs(self) -> list[dict[str, Any]]:
        path = f"/dags/{DAG}/dagRuns?order_by=run_after&limit=100"
        found: list[dict[str, Any]] = self.client._call("GET", path)["dag_runs"]
        return found

    def watch_runs(self, enough: Callable[[list[dict[str, Any]]], bool]) -> int:
        """Wait until all runs have ended, once there are enough; how many were running at once, at most."""
        most, deadline = 0, time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            runs = self.runs()
            most = max(most, sum(run["state"] == "running" for run in runs))
            if enough(runs) and all(run["state"] in ENDED for run in runs):
                return most
            time.sleep(2)
        raise TimeoutError(f"not ended within {PATIENCE:.0f} s: {self.told()}")

    def settled(self) -> None:
        self.watch_runs(lambda _: True)

    def told(self) -> list[tuple[str, str, str]]:
        return [(run["dag_run_id"], run["state"], run["note"]) for run in self.runs()]

    def waits_until(self, look: Callable[[], Any], patience: float = 300) -> Any:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(1)
        raise TimeoutError(f"not seen within {patience:.0f} s")

    def task(self, run_id: str, task: str) -> dict[str, Any]:
        (found,) = [one for one in self.client.task_instances(DAG, run_id) if one["task_id"] == task][:1]
        return found

    def begun_twice(self, run_id: str) -> list[str]:
        """Tasks of the run that the bucket saw begin more than once."""
        from pneumo_tasks.storage import layout

        names = [one.key.rsplit("/", 1)[1] for one in self.store.list_objects(layout.run(run_id, "begun/"))]
        seen = Counter(name.rsplit("~", 1)[0] for name in names)
        return sorted(name for name, times in seen.items() if times > 1)


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    from pneumo_tasks.local import airflow_server, seaweedfs
    from pneumo_tasks.local.airflow_client import AirflowClient
    from pneumo_tasks.local.ports import free_ports
    from pneumo_tasks.local.processes import StartedProcess, stop

    server, database = seaweedfs.start(folder / "s3"), Database(folder / "db")
    process = StartedProcess.of("SeaweedFS", server.pid)
    home, ports, project = folder / "airflow", free_ports(3), folder / "project"
    try:
        store = fill_bucket(folder, server)
        write_dags(project / "dags")
        database.start()
        told = airflow_server.airflow_environment(project, home, ports, {}) | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url, "AIRFLOW__CORE__PARALLELISM": "2",
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins"), *sys.path]),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        }  # fmt: skip
        client = AirflowClient(f"http://127.0.0.1:{ports[0]}", "admin", airflow_server.password(home))
        found = Lab(folder, store, client, dict(os.environ) | told)
        try:
            start_airflow(found)
            yield found
        finally:
            for name in list(found.components):
                found.end(name)
    finally:
        database.stop()
        stop(process, 3)


def fill_bucket(folder: Path, server: Any) -> Any:
    """The settings of everything that follows, and a bucket with a train and a test batch."""
    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore
    from tests.dags.stepped import EASY, hand_in_phantoms

    os.environ |= {f"PNEUMO_{name}": value for name, value in EASY.items()} | {
        "PNEUMO_S3_ENDPOINT": server.endpoint, "PNEUMO_BUCKET": BUCKET, "PNEUMO_DEMO": "true",
        "PNEUMO_SPLIT_SALT": "pneumo", "PNEUMO_EXPORT_ONNX": "false", "PNEUMO_BACKBONE_WEIGHTS": "random",
        "PNEUMO_RESAMPLES": "100", "PNEUMO_TEST_SENDERS": "*", "PNEUMO_CACHE_FOLDER": str(folder / "cache"),
        "AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "TF_CPP_MIN_LOG_LEVEL": "3", "GX_ANALYTICS_ENABLED": "false", "TF_NUM_INTRAOP_THREADS": "1",
    }  # fmt: skip
    settings = Settings.load()
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    hand_in_phantoms(settings, store, folder)
    return store


def write_dags(folder: Path) -> None:
    shutil.copytree(PROJECT / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    dag = folder / f"{DAG}.py"
    head, rest = dag.read_text().split("\n", 1)
    limit = "execution_timeout=timedelta(seconds=100)"  # of one task: what a held interpreter makes of it
    rest = rest.replace("@task(**GPU)\ndef train_head", f"@task(**GPU, {limit})\ndef train_head")
    dag.write_text(f"{head}\n{PRELUDE}\n{rest}")


def start_airflow(found: Lab) -> None:
    print(found.airflow("db", "migrate")[:6], found.airflow("pools", "set", "gpu", "1", "one training")[:6])
    found.start("api", "api-server", "--workers", "1")
    found.start("processor", "dag-processor")
    for number in (1, 2):
        found.start(f"scheduler-{number}", "scheduler", "--skip-serve-logs")
    found.waits_until(found.client.is_healthy, 300)
    found.waits_until(lambda: found.client.dag(DAG), 300)
    found.client.unpause(DAG)
