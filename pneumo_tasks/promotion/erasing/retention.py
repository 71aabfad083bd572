"""Retention: what old runs may lose. Documents, versions and the ledger are never deleted."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.promotion.runs.index import RunIndex
from pneumo_tasks.promotion.runs.runs import RunSummary, show_run
from pneumo_tasks.promotion.runs.state import UNSETTLED
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import Listed, ObjectStore

# What a reviewer may ask for in a year: decision, evidence, scores, report.
_KEPT = (".json", ".html", ".parquet", ".md")


class Pruned(BaseModel):
    """Objects that were, or with a dry run would be, deleted."""

    model_config = ConfigDict(frozen=True)

    runs: list[str]
    objects: int
    bytes: int


def prune(store: ObjectStore, keep: int, dry_run: bool) -> Pruned:
    """Delete artefacts and checkpoints of all ended runs but the ``keep`` youngest.

    A run whose candidate may still be promoted keeps it: one that goes on, waits for a person, or
    failed after the gate said yes. A promoted run's artefact also lives in models/<version>/, which is
    never touched, so that every champion and the original can be served, compared and rolled back to.
    """
    ended = [run_id for run_id, run in RunIndex().read_folders(store).items() if not is_needed(run)]
    runs, doomed = [], list[Listed]()
    for run_id in ended[keep:]:
        artefacts = list(_artefacts(store, run_id))
        # The list may be older than the run, and the entries of older releases say less: ask the run.
        if artefacts and not is_needed(show_run(store, run_id)):
            runs.append(run_id)
            doomed += artefacts
    if not dry_run:
        for listed in doomed:
            store.delete(listed.key)
    return Pruned(runs=runs, objects=len(doomed), bytes=sum(listed.size for listed in doomed))


def is_needed(run: RunSummary) -> bool:
    """Whether the run may still promote its candidate; one that was stopped or lost may not."""
    return run.state in UNSETTLED or (run.approved and run.state == "failed")


def _artefacts(store: ObjectStore, run_id: str) -> Iterator[Listed]:
    return (listed for listed in store.list_objects(layout.run(run_id)) if not listed.key.endswith(_KEPT))
