"""The ledger: an append-only, hash-chained account of every decision about the champion.

Entry n holds the sha256 of entry n-1, so nothing can be changed, taken out or put in between
unseen. Entries that move the champion (promoted, rolled-back, reset) also hold the ``seq`` of the
pointer they replace: walking back from champion.json along ``replaces`` gives what was live, and
an entry outside that walk is an attempt that lost the race for the pointer. ``withdrawn`` entries
record that a batch of images was taken back, ``test-set-changed`` entries that test films of the
champion are rightly gone, ``protocol`` entries that another protocol holds, ``signing-ended`` entries that
what follows need not be signed, ``erased`` entries that a patient's films are gone; they move nothing.
"""

import random
import time
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks import journal
from pneumo_tasks.errors import ConditionFailed, CorruptArtefact, StorageUnavailable
from pneumo_tasks.evaluation.revisions import Revision
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.ledger.ledger_copy import forget, keep_copy, read_entries
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

Kind = Literal["promoted", "rejected", "rolled-back", "reset", "withdrawn", "test-set-changed", "protocol",
               "signing-ended", "erased"]  # fmt: skip

NOTHING = "0" * 64
_ATTEMPTS = 100
_IDENTITY = {"kind", "version", "replaces", "attempt", "reason"}


class LedgerEntry(BaseModel):
    """One decision; ``version`` is None for a reset, ``replaces`` is 0 where there was no pointer.

    ``decision`` names the document that it rests on, where there is one; ``tally``, where a key is set, the
    evidence that there was, as NUMBER@DIGEST of the last entry of ``tally/``.

    Fields that only a newer Pneumo knows are kept, so that its entries hash the same here.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    seq: int
    kind: Kind
    version: str | None
    sha256: str | None
    manifest_sha256: str | None
    run_id: str | None
    replaces: int | None
    attempt: str
    by: str
    reason: str
    approval: Approval | None = None
    decision: Revision | None = None
    tally: str | None = None
    at: str
    previous_sha256: str


class NewEntry(BaseModel):
    """What the caller says; ``append`` adds the place in the chain and the time.

    ``attempt`` names the decision (a run id, or a fresh id for a command), so that a repeated
    write is recognised.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    version: str | None
    sha256: str | None = None
    manifest_sha256: str | None = None
    run_id: str | None = None
    replaces: int | None = None
    attempt: str
    by: str
    reason: str
    approval: Approval | None = None
    decision: Revision | None = None


def append(store: ObjectStore, new: NewEntry) -> LedgerEntry:
    """Write ``new`` behind the last entry; returns it as it stands in the chain.

    An entry that the same attempt already wrote is returned instead: a promoter that died after
    its entry goes on with it, and a write that timed out but arrived is not written twice.
    """
    entries = read_ledger(store)
    keep_copy(store)
    counted = {"tally": head} if (head := store.guard.head(store)) else {}
    for _ in range(_ATTEMPTS):
        for written in reversed(entries):
            if _same(written, new):
                return written
        last = entries[-1] if entries else None
        entry = LedgerEntry(
            **new.model_dump(),
            **counted,
            seq=last.seq + 1 if last else 1,
            at=journal.now(),
            previous_sha256=digest(last) if last else NOTHING,
        )
        try:
            store.put_if_absent(
                layout.ledger_entry(entry.seq), canonical_json(entry.model_dump(exclude_unset=True))
            )
        except ConditionFailed:
            # Somebody was faster; all who lost come back at different moments.
            time.sleep(random.uniform(0.0, 0.05))  # noqa: S311
            entries = read_ledger(store)
            continue
        return entry
    raise StorageUnavailable(
        "the ledger could not be appended to",
        where=layout.LEDGER,
        found=f"{_ATTEMPTS} attempts met another writer",
        do="Try again when fewer promotions run.",
    )


def read_ledger(store: ObjectStore, *, every_object: bool = False) -> list[LedgerEntry]:
    """Every entry, oldest first; CorruptArtefact where the chain is broken.

    Entries that did not change since they were copied are not fetched again; with ``every_object`` each
    is. What lies beside the entries and has not the name of one is not looked at (see ``strangers``).
    """
    listed = [found for found in store.list_objects(layout.LEDGER) if layout.is_ledger_entry(found.key)]
    places = [(found.key, found.etag) for found in listed]
    try:
        return _chained(places, read_entries(store, places, copied=not every_object))
    except CorruptArtefact:
        if every_object:
            raise
    forget(store)
    return _chained(places, read_entries(store, places, copied=False))


def strangers(store: ObjectStore) -> Iterator[str]:
    """The keys below the ledger's folder that are no entries."""
    return (found.key for found in store.list_objects(layout.LEDGER) if not layout.is_ledger_entry(found.key))


def _chained(places: list[tuple[str, str]], bodies: list[bytes]) -> list[LedgerEntry]:
    entries: list[LedgerEntry] = []
    previous = NOTHING
    for (key, _), body in zip(places, bodies, strict=True):
        try:
            entry = LedgerEntry.model_validate_json(body)
        except ValidationError as error:
            raise CorruptArtefact("no entry of the ledger", where=key, found=str(error)) from None
        if key != layout.ledger_entry(len(entries) + 1) or entry.previous_sha256 != previous:
            raise CorruptArtefact(
                "the ledger's chain is broken",
                where=key,
                found=f"after entry {len(entries)}, sha256 {previous[:12]}, comes one that "
                f"says {entry.previous_sha256[:12]}",
                do="Restore the ledger from a backup; promote nothing until it verifies.",
            )
        entries.append(entry)
        previous = digest(entry)
    return entries


def digest(entry: LedgerEntry) -> str:
    """The sha256 of the entry as it is stored, whatever fields its writer knew."""
    return sha256(canonical_json(entry.model_dump(exclude_unset=True)))


def effective(entries: list[LedgerEntry], seq: int) -> list[LedgerEntry]:
    """The entries that really moved the champion up to pointer ``seq``, oldest first."""
    walk: list[LedgerEntry] = []
    while seq:
        if not 1 <= seq <= len(entries) or entries[seq - 1].replaces is None:
            raise CorruptArtefact(
                "the champion's history leads to no entry of the ledger", where=layout.ledger_entry(seq)
            )
        entry = entries[seq - 1]
        if entry.replaces is None or entry.replaces >= seq:
            raise CorruptArtefact("the champion's history runs in a circle", where=layout.ledger_entry(seq))
        walk.append(entry)
        seq = entry.replaces
    return walk[::-1]


def _same(entry: LedgerEntry, new: NewEntry) -> bool:
    return entry.attempt == new.attempt and entry.model_dump(include=_IDENTITY) == new.model_dump(
        include=_IDENTITY
    )
