"""A backup of bucket and database, the loss of both, and a restore: done for real, with times.

    python benchmarks/restore_drill.py [--runs 3] [--json]

An S3 server with three promotions, and Airflow's database: Postgres, or SQLite where Postgres or its driver
is not installed. Both are backed up as docs/runbook.md says, destroyed, and brought back on new servers; then
every check that the runbook names has to hold. Nothing of the caller's is touched.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
EASY = {
    "BUCKET": "drill", "DEMO": "true", "RESAMPLES": "100", "MIN_TEST_PATIENTS": "5", "FREE_STEP": "0.5",
    "RECALL_MARGIN": "0.5", "PRECISION_MARGIN": "0.5", "ORIGINAL_RECALL_MARGIN": "0.5",
    "ORIGINAL_PRECISION_MARGIN": "0.5",
}  # fmt: skip
LAST = ("ledger-copy.json", "champion.json")  # copied last: what they name is then in the copy


def back_up(store: Any, folder: Path) -> int:
    """Copy every object of the bucket to a file; what names others comes last. Returns the bytes."""
    listed = sorted(store.list_objects(""), key=lambda found: (found.key in LAST, found.key))
    for found in listed:
        path = folder / found.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(found.key))
    return sum(found.size for found in listed)


def restore(folder: Path, store: Any) -> int:
    """The files as objects again, in the same order; returns how many."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    keys = sorted((path.relative_to(folder).as_posix() for path in files), key=lambda key: (key in LAST, key))
    for key in keys:
        store.put(key, (folder / key).read_bytes())
    return len(keys)


@dataclass
class Database:
    """Airflow's: Postgres as in the server stack, or a file of SQLite where Postgres is not installed."""

    folder: Path
    port: int = 0
    server: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        if self.port:
            return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/airflow"
        return f"sqlite:///{self.folder / 'airflow.db'}"

    def start(self) -> None:
        """Begin with an empty one."""
        self.folder.mkdir(parents=True)
        if not (shutil.which("initdb") and shutil.which("pg_dump") and find_spec("psycopg2")):
            return
        from pneumo_tasks.local.ports import free_ports

        (self.port,) = free_ports(1)
        _as_user("chown", self.folder)
        data, log = self.folder / "data", self.folder / "log"
        _as_user("initdb", "-D", str(data), "-U", "airflow", "--auth=trust", "-E", "UTF8")
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        _as_user("pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "start")
        self.server = ["pg_ctl", "-D", str(data), "-m", "fast", "-w", "stop"]
        _as_user("createdb", *self._where, "airflow")

    def dump(self, file: Path) -> None:
        if not self.port:
            shutil.copy(self.folder / "airflow.db", file)
        else:
            file.write_bytes(_as_user("pg_dump", *self._where, "airflow"))

    def load(self, file: Path) -> None:
        if not self.port:
            shutil.copy(file, self.folder / "airflow.db")
        else:
            _as_user("psql", *self._where, "-q", "-v", "ON_ERROR_STOP=1", "airflow", given=file.read_bytes())

    def stop(self) -> None:
        if self.server:
            _as_user(*self.server)
            self.server = []

    @property
    def _where(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow"]


def _as_user(*command: Any, given: bytes | None = None) -> bytes:
    """Postgres refuses to be root; then it is nobody."""
    if command[0] == "chown":
        if os.getuid() == 0:
            shutil.chown(command[1], "nobody")
        return b""
    user = {"user": "nobody"} if os.getuid() == 0 else {}
    done = subprocess.run(
        [str(part) for part in command], input=given, capture_output=True, check=False, cwd="/", **user
    )  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.decode()[-500:]}")
    return bytes(done.stdout)


def airflow(home: Path, url: str, *words: str) -> str:
    """One command of Airflow on this database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = kept | {
        "AIRFLOW_HOME": str(home), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PNEUMO_LATE_HOURS": "0",
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "plugins", kept.get("PYTHONPATH", "")))),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"airflow {' '.join(words)}: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout


# ---- the life before the loss ----------------------------------------------------------------


def live(settings: Any, store: Any, folder: Path, runs: int) -> None:
    """Some promotions of real small models, each judged by the gate."""
    from pneumo_tasks import pipeline
    from pneumo_tasks.promotion.judgement import Decided
    from pneumo_tasks.run import Run
    from tests.evaluation.fixtures import _WEIGHTS
    from tests.evaluation.story import Story, save_model
    from tests.promotion.judging import judge

    models = {}
    for name, weights in _WEIGHTS.items():
        save_model(folder / f"{name}.keras", *weights)
        models[name] = (folder / f"{name}.keras").read_bytes()
    story = Story(store, models)
    for number in range(runs):
        run_id = judge(settings, story, f"weekly-{number}", ("good", "better")[number % 2])
        run = Run(settings, store, run_id)
        decided = Decided.model_validate(
            {"decision": "approved", "reason": "", "version": None, "sha256": None, "document": None}
        )
        pipeline.promote(run, decided)
        pipeline.close(run)


def facts(settings: Any, store: Any) -> dict[str, Any]:
    """What has to be the same before and after: champion, history, runs, and every digest."""
    from pneumo_tasks.promotion.registry.champion import champion_summary
    from pneumo_tasks.promotion.runs.index import list_runs
    from pneumo_tasks.promotion.verifying.verification import verify

    findings = [(finding.subject, finding.verdict) for finding in verify(settings, store)]
    assert all(verdict != "fail" for _, verdict in findings), findings
    runs = [(run.run_id, run.state, run.decision, run.version) for run in list_runs(store)]
    return {"champion": champion_summary(store), "runs": runs, "findings": findings}


@contextmanager
def bucket(folder: Path) -> Iterator[tuple[Any, Any]]:
    """A new, empty one, on a server of its own."""
    from pneumo_tasks.local import seaweedfs
    from pneumo_tasks.local.processes import StartedProcess, stop
    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore

    server = seaweedfs.start(folder)
    process = StartedProcess.of("SeaweedFS", server.pid)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PNEUMO_S3_ENDPOINT")
    os.environ |= dict(zip(names, (server.access_key, server.secret_key, server.endpoint), strict=True))
    os.environ |= {f"PNEUMO_{name}": value for name, value in EASY.items()}
    settings = Settings.load()
    try:
        store = ObjectStore.connect(settings)
        store.ensure_bucket()
        yield settings, store
    finally:
        stop(process, 3)


def drill(folder: Path, runs: int) -> dict[str, Any]:
    times: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        answer = work()
        times[name] = round(time.monotonic() - began, 1)
        return answer

    backup, former, later = folder / "backup", Database(folder / "db-1"), Database(folder / "db-2")
    with bucket(folder / "s3-1") as (settings, store):
        live(settings, store, folder, runs)
        before = facts(settings, store)
        former.start()
        try:
            airflow(folder / "airflow-1", former.url, "db", "migrate")
            airflow(folder / "airflow-1", former.url, "pools", "set", "gpu", "1", "one training at a time")
            size = timed("bucket: back up", lambda: back_up(store, backup))
            timed("database: back up", lambda: former.dump(folder / "airflow.sql"))
        finally:
            former.stop()
    shutil.rmtree(folder / "s3-1")
    shutil.rmtree(folder / "db-1")
    with bucket(folder / "s3-2") as (settings, store):
        objects = timed("bucket: restore", lambda: restore(backup, store))
        after = timed("bucket: verify", lambda: facts(settings, store))
        later.start()
        try:
            timed("database: restore", lambda: later.load(folder / "airflow.sql"))
            timed(
                "database: check", lambda: airflow(folder / "airflow-2", later.url, "db", "check-migrations")
            )
            assert "gpu" in airflow(folder / "airflow-2", later.url, "pools", "list", "-o", "plain")
        finally:
            later.stop()
        judged = _goes_on(settings, store)
    assert json.dumps(after, default=str) == json.dumps(before, default=str), "not what it was"
    kind = "postgres" if later.port else "sqlite"
    return {"objects": objects, "bytes": size, "database": kind, "seconds": times, "goes_on": judged}


def _goes_on(settings: Any, store: Any) -> str:
    """The champion can still be moved in the restored bucket, by conditional writes."""
    from pneumo_tasks.promotion.moving.rollback import rollback
    from pneumo_tasks.promotion.registry.change_request import ChangeRequest
    from pneumo_tasks.promotion.registry.history import former_champions

    version = former_champions(store)[0].version
    return str(rollback(settings, store, str(version), ChangeRequest(reason="the drill")).version)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="promotions before the loss")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    sys.path[:0] = [str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "dags")]
    for name in [name for name in os.environ if name.startswith(("PNEUMO_", "AWS_"))]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    folder = Path(tempfile.mkdtemp(prefix="pneumo-drill-"))
    folder.chmod(0o755)
    try:
        found = drill(folder, given.runs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.as_json:
        print(json.dumps(found))
        return
    print(f"{found['objects']} objects, {found['bytes']} bytes, {found['database']}")
    for name, seconds in found["seconds"].items():
        print(f"{seconds:7.1f} s  {name}")
    print(f"The restored bucket went on: rolled back to {found['goes_on']}")


if __name__ == "__main__":
    main()
