"""The catalogue: every verdict in the order of acceptance, which is our order and never a sender's clock.

A verdict counts from the moment it takes its place, a conditional write of the next number. So the
first verdict on a batch stands, its digest is pinned, and whoever judged without knowing what took a
place meanwhile is told so and judges again.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pneumo_tasks.errors import BadBatch, CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.batches import Batch, read_batch
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

log = logging.getLogger(__name__)

SIZES = (1000, 100, 10)
_THREADS = 16


class Entry(BaseModel):
    """catalogue/1/<seq>.json: a batch as it was judged, and the verdict without its list of files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seq: int
    batch: Batch
    verdict: BatchVerdict


_ENTRIES = TypeAdapter(list[Entry])


@dataclass(frozen=True)
class Catalogue:
    """The entries of each batch's first verdict by place; ``head`` is the last place that is taken."""

    entries: tuple[Entry, ...]
    head: int
    complete: bool

    def of(self, batch_id: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.verdict.batch_id == batch_id), None)


def read_catalogue(store: ObjectStore) -> Catalogue:
    """What is in the catalogue, at the cost of a listing and some thirty objects, however long it is."""
    keys = {listed.key for listed in store.list_objects(layout.CATALOGUE)}
    wanted: list[str] = []
    at = 0
    while True:
        found = next((size for size in SIZES if layout.catalogue_segment(size, at + size) in keys), 1)
        if found == 1 and layout.catalogue_entry(at + 1) not in keys:
            break
        at += found
        wanted.append(layout.catalogue_segment(found, at))
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = list(pool.map(lambda key: _read_part(store, key), wanted))
    first: dict[str, Entry] = {}
    for entry in (entry for part in parts for entry in part):
        first.setdefault(entry.verdict.batch_id, entry)
    return Catalogue(tuple(first.values()), at, layout.catalogue_complete() in keys)


def open_catalogue(store: ObjectStore) -> Catalogue:
    """The catalogue with the verdicts of the time before it, entered at the first call in a bucket."""
    catalogue = read_catalogue(store)
    if catalogue.complete:
        return catalogue
    for batch, verdict in _uncatalogued(store, catalogue):
        while not catalogue.of(batch.batch_id):
            take_place(store, catalogue, batch, verdict)
            catalogue = read_catalogue(store)
    store.put_once(layout.catalogue_complete(), canonical_json({}))
    return read_catalogue(store)


def take_place(store: ObjectStore, known: Catalogue, batch: Batch, verdict: BatchVerdict) -> Entry | None:
    """Take the place behind ``known``; None where somebody took it, so that ``known`` is not all."""
    seq = known.head + 1
    entry = Entry(seq=seq, batch=batch, verdict=verdict.model_copy(update={"rejected": []}))
    body = canonical_json(entry.model_dump(mode="json"))
    if store.put_once(layout.catalogue_entry(seq), body) != body:
        return None
    for size in sorted(SIZES):
        if seq % size == 0:
            _sum_up(store, size, seq)
    return entry


def _sum_up(store: ObjectStore, size: int, last: int) -> None:
    """Write one object for ``size`` entries; where one is missing the parts are read instead, as before."""
    part = max(smaller for smaller in (1, *SIZES) if smaller < size)
    keys = [layout.catalogue_segment(part, at) for at in range(last - size + part, last + 1, part)]
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            parts = list(pool.map(lambda key: store.read_json(key), keys))
    except ObjectMissing:
        log.warning("no segment of %d entries up to %d: a smaller one is missing", size, last)
        return
    entries = [entry for found in parts for entry in (found if part > 1 else [found])]
    store.put_once(layout.catalogue_segment(size, last), canonical_json(entries))


def _read_part(store: ObjectStore, key: str) -> list[Entry]:
    document: Any = store.read_json(key)
    return _ENTRIES.validate_python(document if isinstance(document, list) else [document])


def _uncatalogued(store: ObjectStore, catalogue: Catalogue) -> list[tuple[Batch, BatchVerdict]]:
    """Verdicts that were written before there was a catalogue, in the order they were made."""
    entered = {entry.verdict.batch_id for entry in catalogue.entries}
    names = [name for name in store.list_folders(layout.VALIDATIONS) if name not in entered]

    def found(name: str) -> tuple[Batch, BatchVerdict] | None:
        try:
            batch, digest = read_batch(store, name)
        except (ObjectMissing, BadBatch, CorruptArtefact):
            return None
        verdict = read_verdict(store, name, digest)
        return (batch, verdict) if verdict else None

    with ThreadPoolExecutor(_THREADS) as pool:
        pairs = [pair for pair in pool.map(found, filter(layout.is_identifier, names)) if pair]
    return sorted(pairs, key=lambda pair: (pair[1].validated_at, pair[1].batch_id))
