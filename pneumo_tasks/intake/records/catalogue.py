"""The catalogue: every verdict in the order of acceptance, which is our order and never a sender's clock.

A verdict counts from the moment it takes its place, a conditional write of the next number. So the
first verdict on a batch stands, its digest is pinned, and whoever judged without knowing what took a
place meanwhile is told so and judges again.
"""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pneumo_tasks.errors import BadBatch, CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.records.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.intake.sent.batches import Batch, read_batch
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.many_reads import UPGRADING, read_many
from pneumo_tasks.storage.numbered import Numbered, read_numbered, sum_up
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

_THREADS = 16
_NUMBERED = Numbered("the catalogue", layout.catalogue_entry, partial(layout.sum_of, layout.CATALOGUE))


class CatalogueEntry(BaseModel):
    """catalogue/1/<seq>.json: a batch as it was judged, and the verdict without its list of files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seq: int
    batch: Batch
    verdict: BatchVerdict


_ENTRIES = TypeAdapter(list[CatalogueEntry])


@dataclass(frozen=True)
class Catalogue:
    """The entries of each batch's first verdict by place; ``head`` is the last place that is taken."""

    entries: tuple[CatalogueEntry, ...]
    head: int
    complete: bool

    def at(self, seq: int) -> CatalogueEntry | None:
        """The entry at a place; None where nothing is, or a second verdict on a batch that has one."""
        found = bisect_left(self.entries, seq, key=lambda entry: entry.seq)
        entry = self.entries[found] if found < len(self.entries) else None
        return entry if entry and entry.seq == seq else None

    def of(self, batch_id: str) -> CatalogueEntry | None:
        return next((entry for entry in self.entries if entry.verdict.batch_id == batch_id), None)


def read_catalogue(store: ObjectStore, about: str | None = None) -> Catalogue:
    """What is in the catalogue, at the cost of a listing and some thirty objects, however long it is.

    ``about`` a batch: of the entries only its own, those of the batches that it replaces or that replace it,
    and so on; a long history then costs no model an entry.
    """
    keys = {listed.key for listed in store.list_objects(layout.CATALOGUE)}
    with understood(layout.CATALOGUE):
        rows = read_numbered(store, _NUMBERED, keys)
        found = _ENTRIES.validate_python(rows if about is None else _connected(rows, about))
    first: dict[str, CatalogueEntry] = {}
    for entry in found:
        first.setdefault(entry.verdict.batch_id, entry)
    return Catalogue(tuple(first.values()), len(rows), layout.catalogue_complete() in keys)


def _connected(rows: list[Any], batch_id: str) -> list[Any]:
    links: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        for replaced in row["batch"].get("replaces", ()):
            links[row["batch"]["batch_id"]].add(replaced)
            links[replaced].add(row["batch"]["batch_id"])
    known, ahead = {batch_id}, {batch_id}
    while ahead:
        ahead = set().union(*(links[name] for name in ahead)) - known
        known |= ahead
    return [row for row in rows if row["batch"]["batch_id"] in known]


def open_catalogue(store: ObjectStore) -> Catalogue:
    """The catalogue with the verdicts of the time before it, entered at the first call in a bucket."""
    catalogue = read_catalogue(store)
    if catalogue.complete:
        return catalogue
    for batch, verdict in uncatalogued(store, catalogue):
        while not catalogue.of(batch.batch_id):
            take_place(store, catalogue, batch, verdict)
            catalogue = read_catalogue(store)
    store.put_once(layout.catalogue_complete(), canonical_json({}))
    return read_catalogue(store)


def take_place(
    store: ObjectStore, known: Catalogue, batch: Batch, verdict: BatchVerdict
) -> CatalogueEntry | None:
    """Take the place behind ``known``; None where somebody took it, so that ``known`` is not all."""
    seq = known.head + 1
    entry = CatalogueEntry(seq=seq, batch=batch, verdict=verdict.model_copy(update={"rejected": []}))
    body = canonical_json(entry.model_dump(mode="json"))
    if store.put_once(layout.catalogue_entry(seq), body) != body:
        return None
    sum_up(store, _NUMBERED, seq)
    return entry


def uncatalogued(store: ObjectStore, catalogue: Catalogue) -> list[tuple[Batch, BatchVerdict]]:
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

    known = [name for name in names if layout.is_identifier(name)]
    pairs = [pair for pair in read_many(found, known, seconds=UPGRADING, threads=_THREADS) if pair]
    return sorted(pairs, key=lambda pair: (pair[1].validated_at, pair[1].batch_id))
