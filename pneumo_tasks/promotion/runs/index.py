"""The index of runs: one small object a finished run, so that a list need not read the runs themselves.

It holds nothing of its own: an entry can be made again from its run at any time, and a run without
one is read itself.
"""

from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.promotion.runs.runs import RunSummary, show_run
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

_THREADS = 16


class RunIndex:
    """All runs of a bucket; entries that were read before are fetched again only where they changed."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], RunSummary] = {}

    def read(self, store: ObjectStore) -> list[RunSummary]:
        """Every run that left anything in the bucket, the youngest first; not those of a comparison."""
        listed = {entry.key: entry.etag for entry in store.list_objects(layout.RUN_INDEX)}
        names = _runs(store)
        places = {name: (key := layout.run_entry(name), listed.get(key, "")) for name in names}
        new = [name for name in names if places[name] not in self._kept]
        with ThreadPoolExecutor(_THREADS) as pool:
            fetched = dict(
                zip(new, pool.map(lambda name: _read(store, name, *places[name]), new), strict=True)
            )
        runs = {name: fetched[name][0] if name in fetched else self._kept[places[name]] for name in names}
        unsettled = {name for name, (_, settled) in fetched.items() if not settled}
        self._kept = {places[name]: run for name, run in runs.items() if name not in unsettled}
        return sorted(runs.values(), key=lambda run: (run.moment, run.run_id), reverse=True)


def _read(store: ObjectStore, name: str, key: str, etag: str) -> tuple[RunSummary, bool]:
    """The entry of a run, and True; where there is none that can be read, the run itself, and False."""
    if etag:
        try:
            return RunSummary.model_validate_json(store.read(key)), True
        except (ObjectMissing, ValidationError):  # pruned meanwhile, or written by another release
            pass
    return show_run(store, name), False


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
    missing = [name for name in _runs(store) if layout.run_entry(name) not in present]
    return sum(enter_run(store, name).state != "running" for name in missing)


def _runs(store: ObjectStore) -> list[str]:
    """The names of all runs but those of a comparison of recipes."""
    return [name for name in store.list_folders(layout.RUNS) if not name.startswith(layout.COMPARED)]
