"""The index of runs: one small object a finished run, so that a list need not read the runs themselves.

It holds nothing of its own: an entry can be made again from its run at any time, and a run without
one is read itself.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from pneumo_tasks import layout
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.object_store import Listed, ObjectStore
from pneumo_tasks.promotion.runs import RunSummary, show_run

_THREADS = 16


class RunIndex:
    """All runs of a bucket; entries that were read before are fetched again only where they changed."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], RunSummary] = {}

    def read(self, store: ObjectStore) -> list[RunSummary]:
        """Every run that left anything in the bucket, the youngest first; not those of a comparison."""
        listed = {entry.key: entry for entry in store.list_objects(layout.RUN_INDEX)}
        names = [name for name in store.list_folders(layout.RUNS) if not name.startswith(layout.COMPARED)]
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(lambda name: self._one(store, name, listed), names))
        self._kept = {key: run for key, run in found if key is not None}
        runs = [run for _, run in found]
        return sorted(runs, key=lambda run: (run.moment, run.run_id), reverse=True)

    def _one(
        self, store: ObjectStore, name: str, listed: dict[str, Listed]
    ) -> tuple[tuple[str, str] | None, RunSummary]:
        entry = listed.get(layout.run_entry(name))
        if entry is None:
            return None, show_run(store, name)
        key = (entry.key, entry.etag)
        kept = self._kept.get(key)
        if kept is not None:
            return key, kept
        try:
            return key, RunSummary.model_validate_json(store.read(entry.key))
        except (ObjectMissing, ValidationError):  # pruned meanwhile, or written by another release
            return None, show_run(store, name)


def list_runs(store: ObjectStore) -> list[RunSummary]:
    """Every run that left anything in the bucket, the youngest first; not those of a comparison."""
    return RunIndex().read(store)


def enter_run(store: ObjectStore, run_id: str) -> RunSummary:
    """Write the entry of ``run_id`` as the run stands now, unless it goes on; returns what it says."""
    run = show_run(store, run_id)
    if run.state != "running":
        store.put_json(layout.run_entry(run_id), run.model_dump(mode="json"))
    return run


def enter_missing(store: ObjectStore) -> int:
    """Enter every finished run that has no entry, such as those of an older release; returns how many."""
    present = {listed.key for listed in store.list_objects(layout.RUN_INDEX)}
    return sum(enter_run(store, name).state != "running" for name in _without(store, present))


def _without(store: ObjectStore, present: set[str]) -> Iterator[str]:
    for name in store.list_folders(layout.RUNS):
        if not name.startswith(layout.COMPARED) and layout.run_entry(name) not in present:
            yield name
