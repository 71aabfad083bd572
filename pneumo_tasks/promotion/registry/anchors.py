"""Anchors: what somebody outside the bucket remembers of its ledger, as ``NUMBER@DIGEST``.

The chain of digests shows every change in the middle of a ledger, and nothing of a ledger whose last entries
were cut, or that was written anew from the first. Whoever kept one anchor sees both.
"""

import re
from dataclasses import dataclass
from typing import Self

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

_FORM = re.compile(r"([1-9][0-9]{0,7})@([0-9a-f]{16,64})")


@dataclass(frozen=True)
class Anchor:
    """An entry of the ledger by number and digest (at least 16 hex digits of it)."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}@{self.digest}"

    @classmethod
    def of(cls, entry: ledger.LedgerEntry) -> Self:
        return cls(entry.seq, ledger.digest(entry)[:32])

    @classmethod
    def parse(cls, given: str) -> Self:
        found = _FORM.fullmatch(given.strip())
        if found is None:
            raise BadConfiguration(
                f"{given[:80]!r} is no anchor", do="Write NUMBER@DIGEST, as `pneumo models verify` prints it."
            )
        return cls(int(found[1]), found[2])


def check_anchor(store: ObjectStore, entries: list[ledger.LedgerEntry], anchor: Anchor) -> str:
    """Says that the ledger goes on from ``anchor``; CorruptArtefact where it was cut or written anew.

    An anchor that moved the champion also has to be among the steps that lead to the pointer of today.
    """
    if anchor.seq > len(entries):
        raise _cut(anchor, f"the ledger ends with entry {len(entries)}")
    found = ledger.digest(entries[anchor.seq - 1])
    if not found.startswith(anchor.digest):
        raise _cut(anchor, f"entry {anchor.seq} has the digest {found[:32]}")
    pointer, _ = read_pointer(store)
    if entries[anchor.seq - 1].replaces is not None and not _lost_a_race(entries, anchor.seq):
        live = ledger.effective(entries, pointer.seq) if pointer else []
        if anchor.seq not in {entry.seq for entry in live}:
            raise _cut(anchor, f"the champion pointer is at entry {pointer.seq if pointer else 0}")
    return f"{len(entries) - anchor.seq} entries since {anchor.seq}@{anchor.digest[:16]}"


def _lost_a_race(entries: list[ledger.LedgerEntry], seq: int) -> bool:
    """Whether another entry replaced the same pointer: then this one may be an attempt that was late."""
    replaced = entries[seq - 1].replaces
    return any(entry.replaces == replaced for entry in entries if entry.seq != seq)


def _cut(anchor: Anchor, found: str) -> CorruptArtefact:
    return CorruptArtefact(
        "the ledger is not the one that was seen",
        where=layout.ledger_entry(anchor.seq),
        found=f"expected {anchor}; {found}",
        do="Somebody cut or rewrote the ledger, or set the pointer back: restore them from a backup.",
    )
