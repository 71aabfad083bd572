"""The index of runs: one small object a finished run, so that a list need not read the runs themselves.

It holds nothing of its own: an entry can be made again from its run at any time, and a run without
one is read itself. The catalogue holds all entries once more, in one object, for those who read the
list for the first time; an entry is taken from it only while it has the etag it was copied with.
"""

import gzip
import json
import logging

from pydantic import ValidationError

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing, PneumoError
from pneumo_tasks.promotion.runs.runs import RunSummary, optional, show_run
from pneumo_tasks.promotion.runs.state import UNSETTLED
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import UPGRADING, read_many
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

log = logging.getLogger(__name__)

_THREADS = 16
_FEW = 8

Place = tuple[str, str]  # the key of an entry, and its etag; empty where there is none to be read


class RunIndex:
    """All runs of a bucket; entries that were read before are fetched again only where they changed."""

    def __init__(self) -> None:
        self._kept: dict[Place, RunSummary] = {}

    def read(self, store: ObjectStore) -> list[RunSummary]:
        """Every run that left anything in the bucket, the youngest first; not those of a comparison."""
        return list(self.read_folders(store).values())

    def read_folders(self, store: ObjectStore) -> dict[str, RunSummary]:
        """The same runs by the id that leads to their folder; what is no run is left out."""
        places = _places(store)
        if sum(place not in self._kept for place in places.values() if place[1]) > _FEW:
            self._kept |= _read_catalogue(store, set(places.values()) - self._kept.keys())
        new = [run_id for run_id, place in places.items() if place not in self._kept]
        answers = read_many(lambda run_id: _read(store, run_id, *places[run_id]), new, threads=_THREADS)
        fetched = dict(zip(new, answers, strict=True))
        kept = {place: self._kept[place] for place in places.values() if place in self._kept}
        kept |= {places[run_id]: run for run_id, (run, settled) in fetched.items() if run and settled}
        runs = {run_id: kept[place] for run_id, place in places.items() if place in kept}
        runs |= {run_id: run for run_id, (run, _) in fetched.items() if run}
        self._kept = kept
        return dict(sorted(runs.items(), key=lambda item: (item[1].moment, item[1].run_id), reverse=True))

    def keep_catalogue(self, store: ObjectStore) -> None:
        """Write all entries that were read as one object; nobody waits for it, so a refusal is logged."""
        entries = [[*place, run.model_dump(mode="json")] for place, run in sorted(self._kept.items())]
        try:
            store.put(layout.RUN_CATALOGUE, gzip.compress(canonical_json(entries), mtime=0))
        except PneumoError as error:
            log.warning("no catalogue of runs was written: %s", error)


def _read(store: ObjectStore, run_id: str, key: str, etag: str) -> tuple[RunSummary | None, bool]:
    """The entry of a run, and True; where there is none that can be read, the run itself, and False.

    None where the folder holds no run: somebody else made it.
    """
    if etag:
        try:
            return RunSummary.model_validate_json(store.read(key)), True
        except (ObjectMissing, ValidationError):  # pruned meanwhile, or written by another release
            pass
    try:
        return show_run(store, run_id), False
    except ObjectMissing:
        log.info("%s holds no run", layout.run(run_id))
        return None, False


def _read_catalogue(store: ObjectStore, wanted: set[Place]) -> dict[Place, RunSummary]:
    try:
        entries = json.loads(gzip.decompress(store.read(layout.RUN_CATALOGUE)))
        found = {(key, etag): run for key, etag, run in entries}
        return {place: RunSummary.model_validate(found[place]) for place in wanted & found.keys()}
    except ObjectMissing:
        return {}
    except (PneumoError, OSError, EOFError, ValueError, TypeError) as error:
        log.warning("the catalogue of runs cannot be read, so its entries are: %s", error)
        return {}


def list_runs(store: ObjectStore) -> list[RunSummary]:
    """Every run that left anything in the bucket, the youngest first; not those of a comparison."""
    return RunIndex().read(store)


def enter_run(store: ObjectStore, run_id: str) -> RunSummary:
    """Write the entry of ``run_id`` as the run stands now, unless it goes on; returns what it says."""
    run = show_run(store, run_id)
    if run.state not in UNSETTLED:
        store.put_json(layout.run_entry(run_id), run.model_dump(mode="json"))
    return run


def close_ended(store: ObjectStore, run_id: str, why: str = "") -> RunSummary:
    """Enter a run of which no task goes on any more: one that settled nothing was stopped from outside.

    ``why`` says by whom or by what, where it is known; it then replaces what was written without it.
    A candidate that waits for the command line outlives its run; one that Airflow asked about does not.
    """
    state = show_run(store, run_id).state
    question = optional(store, layout.run(run_id, "question.json")) if state == "waiting" else None
    stopped = state in ("running", "lost-contact") or (question and not question.get("typed"))
    if stopped or (why and state == "stopped"):
        journal.record_stop(store, run_id, why or "it was stopped before it came to a decision")
    return enter_run(store, run_id)


def enter_missing(store: ObjectStore) -> int:
    """Enter every ended run that has no entry, such as those of an older release; returns how many."""
    missing = [run_id for run_id, (_, etag) in _places(store).items() if not etag]
    entered = sum(
        read_many(lambda run_id: _entered(store, run_id), missing, seconds=UPGRADING, threads=_THREADS)
    )
    index = RunIndex()
    index.read_folders(store)
    index.keep_catalogue(store)
    return entered


def missing_entries(store: ObjectStore) -> list[str]:
    """The runs that have no entry: of an older release, or going on."""
    read, places = RunIndex().read_folders(store), _places(store)
    return [run_id for run_id in read if not places.get(run_id, ("", ""))[1]]


def _entered(store: ObjectStore, run_id: str) -> bool:
    try:
        return enter_run(store, run_id).state not in UNSETTLED
    except ObjectMissing:  # somebody else's folder
        return False


def _places(store: ObjectStore) -> dict[str, Place]:
    """Every run but those of a comparison, and where its entry is."""
    entries = {found.key: found.etag for found in store.list_objects(layout.RUN_INDEX)
               if not journal.is_stale(found)}  # fmt: skip
    folders = [name for name in store.list_folders(layout.RUNS) if layout.is_run_key(name)]
    ids = [layout.run_of(name) for name in folders if not name.startswith(layout.COMPARED)]
    return {run_id: (key := layout.run_entry(run_id), entries.get(key, "")) for run_id in ids}
