"""The list of batches: what became of each, and which of them wait for a verdict."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadBatch, CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.records.attempts import MOST_TRIES, all_begun
from pneumo_tasks.intake.records.catalogue import Catalogue, open_catalogue, read_catalogue
from pneumo_tasks.intake.records.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.intake.records.withdrawals import read_withdrawals, withdrawn_with
from pneumo_tasks.intake.sent.batches import Batch, read_batch
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore

State = Literal[
    "incomplete", "stale", "waiting", "accepted", "rejected", "unlabelled", "withdrawn", "replaced"
]  # fmt: skip

_THREADS = 16

log = logging.getLogger(__name__)


class BatchState(BaseModel):
    """One line of the list of batches; ``reasons`` say why a batch is not used.

    An unfinished upload is ``incomplete``, and ``stale`` when nothing arrived for a day. A
    ``replaced`` batch gave way to an accepted correction of it; an ``unlabelled`` one waits for its labels
    (`pneumo batch label`). ``arrived`` is the store's time.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    state: State
    digest: str = ""
    created_at: str = ""
    arrived: str = ""
    split: str = ""
    synthetic: bool = False
    images: int = 0
    accepted: int = 0
    quarantined: int = 0
    reasons: list[str] = []
    warnings: list[str] = []
    replaces: list[str] = []


@dataclass(frozen=True)
class _Look:
    store: ObjectStore
    catalogue: Catalogue
    stale_hours: float


def list_batches(store: ObjectStore, stale_hours: float = 24.0) -> list[BatchState]:
    """Every batch of the bucket with its state, by id; one whose batch.json is unreadable is rejected.

    A batch with a verdict costs no request of its own, one that waits two. Folders that nobody ordered are
    named in the log and left out.
    """
    return _list(store, read_catalogue(store), stale_hours)


def _list(store: ObjectStore, catalogue: Catalogue, stale_hours: float) -> list[BatchState]:
    return _states(_Look(store, catalogue, stale_hours), store.list_folders(layout.INCOMING))


def _states(look: _Look, folders: list[str]) -> list[BatchState]:
    """The states of the batches of the catalogue and of those that ``folders`` name besides."""
    store, catalogue = look.store, look.catalogue
    if strange := sorted(name for name in folders if not layout.is_identifier(name)):
        log.warning("not batches, left out: %s", ", ".join(map(repr, strange)))
    judged = {entry.verdict.batch_id: _state_of(entry.batch, entry.verdict) for entry in catalogue.entries}
    others = [name for name in folders if layout.is_identifier(name) and name not in judged]
    asked = read_many(lambda name: _unjudged(look, name), others, threads=_THREADS)
    found = [state for state in asked if state]
    states = sorted([*judged.values(), *found], key=lambda state: state.batch_id)
    return _without_replaced(_without_withdrawn(store, states))


def _without_withdrawn(store: ObjectStore, states: list[BatchState]) -> list[BatchState]:
    out = withdrawn_with(read_withdrawals(store), {state.batch_id: state.replaces for state in states})

    def told(state: BatchState) -> BatchState:
        taken = out.get(state.batch_id)
        if taken is None:
            return state
        with_it = "" if taken.batch_id == state.batch_id else f" with {taken.batch_id}"
        why = f"withdrawn{with_it} by {taken.by} at {taken.at}: {taken.reason}"
        return state.model_copy(update={"state": "withdrawn", "accepted": 0, "reasons": [why]})

    return [told(state) for state in states]


def _without_replaced(states: list[BatchState]) -> list[BatchState]:
    by = {old: state.batch_id for state in states if state.state == "accepted" for old in state.replaces}

    def told(state: BatchState) -> BatchState:
        if state.batch_id not in by or state.state == "withdrawn":
            return state
        reasons = [f"replaced by {by[state.batch_id]}"]
        return state.model_copy(update={"state": "replaced", "accepted": 0, "reasons": reasons})

    return [told(state) for state in states]


def _unjudged(look: _Look, batch_id: str) -> BatchState | None:
    """The state of a batch that is not in the catalogue; None where its folder is empty."""
    key = layout.batch_manifest(batch_id)
    sent = next((listed for listed in look.store.list_objects(key) if listed.key == key), None)
    if sent is None:
        return _unfinished(look, batch_id)
    arrived = sent.modified.isoformat() if sent.modified else ""
    try:
        batch, digest = read_batch(look.store, batch_id)
    except (BadBatch, CorruptArtefact) as error:
        return BatchState(batch_id=batch_id, state="rejected", reasons=[str(error)])
    verdict = None if look.catalogue.complete else read_verdict(look.store, batch_id, digest)
    if verdict:
        return _state_of(batch, verdict)
    return BatchState(
        batch_id=batch_id, state="waiting", digest=digest, created_at=batch.created_at, arrived=arrived,
        split=batch.split, synthetic=batch.synthetic, images=batch.images, replaces=batch.replaces,
    )  # fmt: skip


def _unfinished(look: _Look, batch_id: str) -> BatchState | None:
    listed = list(look.store.list_objects(layout.incoming(batch_id)))
    if not any(one.key != layout.incoming(batch_id) for one in listed):
        return None  # a console's folder, or one that was emptied
    arrived = max((one.modified for one in listed if one.modified), default=None)
    hours = (datetime.now(UTC) - arrived).total_seconds() / 3600 if arrived else 0.0
    if hours <= look.stale_hours:
        return BatchState(batch_id=batch_id, state="incomplete")
    why = f"the upload stopped {hours:.0f} h ago, limit {look.stale_hours:g} h: send the folder again"
    return BatchState(batch_id=batch_id, state="stale", reasons=[why])


def describe_batch(store: ObjectStore, batch_id: str, stale_hours: float = 24.0) -> BatchState:
    """The state of one batch; ``incomplete`` where nothing of it is there.

    Warns where batch.json is not the one that was judged: the verdict holds for the judged one.
    """
    layout.identifier(batch_id, "batch id")
    catalogue = read_catalogue(store, about=batch_id)
    if catalogue.complete:
        states = _states(_Look(store, catalogue, stale_hours), [batch_id])
    else:  # of earlier releases: any batch may replace this one
        states = list_batches(store, stale_hours)
    state = next((state for state in states if state.batch_id == batch_id), None)
    if state is None:
        return BatchState(batch_id=batch_id, state="incomplete")
    try:
        _, digest = read_batch(store, batch_id)
    except (BadBatch, CorruptArtefact, ObjectMissing):
        digest = ""
    if not state.digest or digest == state.digest:
        return state
    warning = f"changed: batch.json is not the one that was judged, the verdict holds for {state.digest[:12]}"
    return state.model_copy(update={"warnings": [*state.warnings, warning]})


def show_batch(store: ObjectStore, batch_id: str, stale_hours: float = 24.0) -> dict[str, Any]:
    """One batch with every rejected file; ObjectMissing where there is nothing of that name."""
    state = describe_batch(store, batch_id, stale_hours)
    if state.state == "incomplete" and not list(store.list_objects(layout.incoming(batch_id))):
        raise ObjectMissing("no such batch", where=layout.incoming(batch_id), do="See `pneumo batch list`.")
    verdict = read_verdict(store, batch_id, state.digest) if state.digest else None
    rejected = [rejection.model_dump() for rejection in verdict.rejected] if verdict else []
    return {**state.model_dump(), "rejected": rejected}


def _state_of(batch: Batch, verdict: BatchVerdict) -> BatchState:
    return BatchState(
        batch_id=batch.batch_id,
        state=verdict.state,
        digest=verdict.digest,
        created_at=batch.created_at,
        split=batch.split,
        synthetic=batch.synthetic,
        images=verdict.images,
        accepted=verdict.accepted,
        quarantined=verdict.quarantined,
        reasons=verdict.reasons,
        warnings=verdict.warnings,
        replaces=batch.replaces,
    )


def discover_batches(store: ObjectStore, stale_hours: float = 24.0) -> list[str]:
    """The ids of the batches that are complete and have no verdict yet, as they arrived by the store's clock.

    One that was begun three times and has no verdict comes behind all others. Unfinished uploads are
    waited for, and said to be stale after ``stale_hours``.
    """
    states = _list(store, open_catalogue(store), stale_hours)
    for state in states:
        if state.state in ("incomplete", "stale"):
            log.warning(
                "batch %s is %s%s", state.batch_id, state.state, "".join(f": {r}" for r in state.reasons)
            )
    begun = all_begun(store)
    waiting = [state for state in states if state.state == "waiting"]
    waiting.sort(key=lambda s: (begun[s.batch_id] >= MOST_TRIES, s.arrived, s.batch_id))
    return [state.batch_id for state in waiting]
