"""What a run leaves behind about itself: its stages, their times, and why it stopped.

Every fact is an object of its own, and what a list needs of it stands in its name, so that a thousand of
them are read with one listing:

    run.json                                    what the run was started with
    begun/<task>~<place>~<try>.json             a task began; <place> is its number where it is mapped
    stages/<stage>~<part>~<began>~<took>.json   a stage, or one part of it, ended; times in milliseconds
    failures/<task>~<place>.json                a task failed for good, and why
    stopped.json                                the run was ended from outside before it came to an end
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.secret_values import without_secrets
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import Listed, ObjectStore, canonical_json

# An entry of the index of runs that says: read the run itself.
STALE: dict[str, Any] = {}


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Attempt:
    """One try of one task of a run; ``place`` is -1 where the task is not mapped."""

    task: str
    place: int = -1
    number: int = 1

    @property
    def name(self) -> str:
        return f"{self.task}~{self.place}"


@contextmanager
def stage(store: ObjectStore, run_id: str, name: str, part: str = "") -> Iterator[None]:
    """Record how long a stage of a run took; a stage that raises is recorded by ``record_failure``."""
    started, clock = datetime.now(UTC), time.monotonic()
    yield
    seconds = round(time.monotonic() - clock, 3)
    record = {"name": name, "part": part, "started": started.isoformat(timespec="milliseconds")}
    key = f"stages/{name}~{part}~{round(started.timestamp() * 1000)}~{round(seconds * 1000)}.json"
    store.put_json(layout.run(run_id, key), record | {"seconds": seconds})


def record_start(store: ObjectStore, run_id: str, facts: dict[str, Any]) -> None:
    """Write what the run was started with; a retry of the first task leaves the first record.

    BadConfiguration for a run id that is reserved, or whose folder belongs to a run of another id.
    """
    layout.check_run_id(run_id)
    key = layout.run(run_id, "run.json")
    if not store.exists(key):
        store.put_json(key, {"run_id": run_id, "started": now(), "store": store.address, **facts})
    elif (other := store.read_json(key).get("run_id", run_id)) != run_id:
        raise BadConfiguration(
            f"the folder of run {run_id} belongs to run {other}, of an older release",
            where=key,
            do="Start the run again under another id.",
        )


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


def record_begin(store: ObjectStore, run_id: str, attempt: Attempt) -> None:
    """Write that a task began. What lists say of a run that ended before is no longer trusted."""
    key = layout.run(run_id, f"begun/{attempt.name}~{attempt.number}.json")
    store.put_json(key, {"at": now()})
    entry = layout.run_entry(run_id)
    if (attempt.number > 1 or attempt.place < 0) and store.exists(entry):
        store.put_json(entry, STALE)


def record_failure(
    store: ObjectStore, run_id: str, task: str, reason: str, place: int = -1, number: int = 1
) -> None:
    """Write why a task failed for good; it counts until a later try of the same task begins."""
    failure = {"task": task, "place": place, "try": number, "reason": without_secrets(reason), "at": now()}
    store.put_json(layout.run(run_id, f"failures/{Attempt(task, place).name}.json"), failure)


def record_stop(store: ObjectStore, run_id: str, reason: str) -> None:
    """Write that the run was ended from outside; it counts until a task of the run begins once more."""
    begun = tries(store.list_objects(layout.run(run_id, "begun/")))
    stop = {"reason": reason, "at": now(), "tries": begun}
    store.put_json(layout.run(run_id, "stopped.json"), stop)


def tries(listed: Iterable[Listed]) -> dict[str, int]:
    """The last try that began of each task (``<task>~<place>``), from the objects of a run."""
    last: dict[str, int] = {}
    for name in (found.key.partition("/begun/")[2].removesuffix(".json") for found in listed):
        task, _, number = name.rpartition("~")
        if number.isdigit():
            last[task] = max(last.get(task, 0), int(number))
    return last


def stages(store: ObjectStore, run_id: str, listed: Iterable[Listed] | None = None) -> list[dict[str, Any]]:
    """The recorded stages in the order they started; mapped parts of one stage are added up.

    ``listed`` are the objects of the run where they are known. Of a part that was done again, the last
    time counts. Records of an older release, whose names do not say it all, are read.
    """
    if listed is None:
        listed = store.list_objects(layout.run(run_id, "stages/"))
    parts: dict[tuple[str, str], tuple[int, int]] = {}
    for found in listed:
        if named := found.key.partition("/stages/")[2]:
            name, part, began, took = _times(named) or _recorded(store.read_json(found.key))
            parts[name, part] = max(parts.get((name, part), (0, 0)), (began, took))
    total: dict[str, int] = {}
    for (name, _), (_, took) in sorted(parts.items(), key=lambda item: item[1]):
        total[name] = total.get(name, 0) + took
    return [{"name": name, "seconds": milliseconds / 1000} for name, milliseconds in total.items()]


def _times(named: str) -> tuple[str, str, int, int] | None:
    match named.removesuffix(".json").split("~"):
        case [name, part, began, took] if began.isdigit() and took.isdigit():
            return name, part, int(began), int(took)
    return None


def _recorded(record: dict[str, Any]) -> tuple[str, str, int, int]:
    began = datetime.fromisoformat(record["started"]).timestamp()
    return record["name"], record.get("part", ""), round(began * 1000), round(record["seconds"] * 1000)


def is_stale(listed: Listed) -> bool:
    """Whether an entry of the index says no more than that the run itself has to be read."""
    return listed.size <= len(canonical_json(STALE))
