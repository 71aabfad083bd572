"""Seen patients: whom training has learned from, written down before it begins and never derived again.

``seen/patients/<n>.json`` holds the patients that one training met for the first time. What a model says of
anybody else is evidence of the coming weeks; of these it no longer is.
"""

import logging
from collections.abc import Set
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pneumo_tasks import journal
from pneumo_tasks.dataset.snapshots import made_snapshots, training_rows
from pneumo_tasks.errors import ConditionFailed, StorageUnavailable
from pneumo_tasks.intake.records.accepted import keys_of_today
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.numbered import Numbered, read_row, sum_up
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

log = logging.getLogger(__name__)

_NUMBERED = Numbered("the record of seen patients", layout.seen, partial(layout.sum_of, layout.SEEN_SUMS))
_ATTEMPTS = 50


class NewlySeen(BaseModel):
    """The patients that the training on one snapshot met for the first time."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: str
    snapshot_id: str
    patients: list[str]


_PARTS = TypeAdapter(list[NewlySeen])


@dataclass(frozen=True)
class SeenPatients:
    """All parts as they were read. ``parts`` 0: nobody has kept this record yet, so nobody is unseen."""

    patients: Set[str]
    parts: int


def read_seen(store: ObjectStore) -> SeenPatients:
    """Whom training has met, at the cost of two listings and some thirty objects.

    CorruptArtefact where a part is missing.
    """
    parts = _PARTS.validate_python(read_row(store, _NUMBERED, layout.SEEN, layout.SEEN_SUMS))
    return SeenPatients(frozenset(patient for part in parts for patient in part.patients), len(parts))


def record_seen(store: ObjectStore, snapshot_id: str, site_in_key: bool = False) -> int:
    """Write down that training is about to learn from a snapshot; returns how many patients are new to it.

    The first record of a bucket takes the patients of every snapshot there is: nobody knows which of them
    an earlier release has trained on.
    """
    for _ in range(_ATTEMPTS):
        known = read_seen(store)
        snapshots = [snapshot_id] if known.parts else [*made_snapshots(store), snapshot_id]
        patients = {patient for name in snapshots for patient in _patients(store, name, site_in_key)}
        new = sorted(patients - known.patients)
        if not new:
            return 0
        part = NewlySeen(seq=known.parts + 1, at=journal.now(), snapshot_id=snapshot_id, patients=new)
        try:
            store.put_if_absent(layout.seen(part.seq), canonical_json(part.model_dump()))
        except ConditionFailed:
            continue  # another training was first: ask again whom it met
        sum_up(store, _NUMBERED, part.seq)
        log.info("training meets %d patients for the first time", len(new))
        return len(new)
    raise StorageUnavailable(
        "the record of seen patients could not be written",
        where=layout.SEEN,
        found=f"{_ATTEMPTS} attempts",
        do="Try again.",
    )


def _patients(store: ObjectStore, snapshot_id: str, site_in_key: bool) -> set[str]:
    return set(keys_of_today(training_rows(store, snapshot_id), site_in_key))
