"""What a run leaves behind about itself: its stages, their times, and why it stopped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def stage(store: ObjectStore, run_id: str, name: str, part: str = "") -> Iterator[None]:
    """Record how long a stage of a run took; a stage that raises is recorded by ``record_failure``."""
    started, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
    yield
    record = {"name": name, "part": part, "started": started, "seconds": round(time.monotonic() - clock, 3)}
    store.put_json(layout.run(run_id, f"stages/{name}{f'.{part}' if part else ''}.json"), record)


def record_start(store: ObjectStore, run_id: str, facts: dict[str, Any]) -> None:
    """Write what the run was started with; a retry of the first task leaves the first record."""
    key = layout.run(run_id, "run.json")
    if not store.exists(key):
        store.put_json(key, {"run_id": run_id, "started": now(), "store": store.address, **facts})


def check_store(store: ObjectStore, run_id: str) -> None:
    """BadConfiguration where the run began in another store than this one."""
    try:
        recorded = store.read_json(layout.run(run_id, "run.json")).get("store", store.address)
    except ObjectMissing:
        recorded = None
    if recorded != store.address:
        raise BadConfiguration(
            "this is not the store that the run began in",
            where=f"bucket {store.address['bucket']} at {store.address['endpoint']}",
            found=f"the run's: bucket {recorded['bucket']} at {recorded['endpoint']}"
            if recorded
            else "it knows nothing of this run",
            do="Give all workers the same connection pneumo_s3, or the same endpoint and bucket.",
        )


def record_failure(store: ObjectStore, run_id: str, task: str, reason: str) -> None:
    """Write why a run failed; read only where the run has no decision."""
    store.put_json(layout.run(run_id, "failure.json"), {"task": task, "reason": reason, "at": now()})


def stages(store: ObjectStore, run_id: str) -> list[dict[str, Any]]:
    """The recorded stages in the order they started; mapped parts of one stage are added up."""
    records = [store.read_json(listed.key) for listed in store.list_objects(layout.run(run_id, "stages/"))]
    total: dict[str, float] = {}
    for record in sorted(records, key=lambda r: r["started"]):
        total[record["name"]] = total.get(record["name"], 0.0) + record["seconds"]
    return [{"name": name, "seconds": round(seconds, 3)} for name, seconds in total.items()]
