"""The tally: every object of evidence by its sha256, in a chain of signed entries that only grows.

An object that was deleted is named by an entry; an entry that was deleted is named by the next one. The
signature of the last entry vouches for all before it, so a bucket may hold entries of many writers.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.sealing.keys import fits
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.numbered import Numbered, read_row
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

ENTRIES = Numbered("the tally of evidence", layout.tally_entry, partial(layout.sum_of, layout.TALLY_SUMS))
NOTHING = "0" * 64
GONE = ""  # in place of a sha256: the object was deleted rightly
_RESTORE = "Somebody cut or rewrote it: restore `tally/` from a backup. Nothing that rests on it can be said."


class TallyEntry(BaseModel):
    """tally/entries/<seq>.json: objects by sha256, and the sha256 of the entry before; both keys are hex."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: str
    objects: dict[str, str]
    previous: str
    public_key: str
    signature: str = ""

    @property
    def signed_part(self) -> bytes:
        return canonical_json(self.model_dump(exclude={"signature"}))

    @property
    def body(self) -> bytes:
        return canonical_json(self.model_dump())


@dataclass
class Tally:
    """What was counted up to entry ``seq``; ``objects`` has the sha256 and the entry of each key.

    ``signer`` is the public key of the last entry, in hex: it vouches for all of them.
    """

    signer: str = ""
    digests: list[str] = field(default_factory=list)
    objects: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        return len(self.digests)

    def of(self, key: str) -> str | None:
        """The sha256 that was counted for ``key``: GONE where it was deleted rightly, None where none was."""
        return self.objects[key][0] if key in self.objects else None

    def below(self, prefix: str) -> set[str]:
        """The keys that have to be there."""
        return {key for key, (digest, _) in self.objects.items() if digest and key.startswith(prefix)}

    def follow(self, documents: list[Any], trusted: Sequence[Ed25519PublicKey]) -> None:
        """Take further entries in; CorruptArtefact where the chain or the last signature is broken.

        Without a trusted key the last signature only has to be that of the key that it names.
        """
        for document in documents:
            where = layout.tally_entry(self.seq + 1)
            with understood(where):
                entry = TallyEntry.model_validate(document)
                keys = trusted or (Ed25519PublicKey.from_public_bytes(bytes.fromhex(entry.public_key)),)
            chained = entry.seq == self.seq + 1 and entry.previous == self.head
            if not chained or (
                document is documents[-1] and not fits(keys, entry.signature, entry.signed_part)
            ):
                found = (
                    "it is not signed by a trusted key" if chained else f"it does not follow entry {self.seq}"
                )
                raise CorruptArtefact(
                    "the tally of evidence is broken", where=where, found=found, do=_RESTORE
                )
            self.signer = entry.public_key
            self.digests.append(sha256(entry.body))
            self.objects |= {key: (digest, entry.seq) for key, digest in entry.objects.items()}

    @property
    def head(self) -> str:
        return self.digests[-1] if self.digests else NOTHING

    def next_entry(self, objects: Mapping[str, str], signer: Ed25519PrivateKey) -> TallyEntry:
        """The entry that counts ``objects`` behind what is known."""
        entry = TallyEntry(
            seq=self.seq + 1,
            at=journal.now(),
            objects=dict(objects),
            previous=self.head,
            public_key=signer.public_key().public_bytes_raw().hex(),
        )
        return entry.model_copy(update={"signature": signer.sign(entry.signed_part).hex()})


def read_tally(store: ObjectStore, trusted: Sequence[Ed25519PublicKey]) -> Tally:
    """The whole tally, at the cost of a listing and some thirty objects; see ``Tally.follow``."""
    tally = Tally()
    tally.follow(read_row(store, ENTRIES, layout.TALLY, layout.TALLY_SUMS), trusted)
    return tally


def read_on(store: ObjectStore, tally: Tally, trusted: Sequence[Ed25519PublicKey]) -> None:
    """Take in what was counted since: one request where that is nothing."""
    found: list[Any] = []
    while True:
        try:
            found.append(store.read_json(layout.tally_entry(tally.seq + len(found) + 1)))
        except ObjectMissing:
            break
    tally.follow(found, trusted)


def check_named(tally: Tally, named: str, where: str) -> None:
    """CorruptArtefact where the tally does not go on from ``NUMBER@DIGEST``, which ``where`` names."""
    number, _, digest = named.partition("@")
    seq = int(number) if number.isdecimal() else 0
    if not seq or seq > tally.seq or tally.digests[seq - 1] != digest:
        raise CorruptArtefact(
            "the tally of evidence is not the one that was seen",
            where=where,
            found=f"it names entry {named[:40]}, and the tally has {tally.seq} entries",
            do=_RESTORE,
        )


def is_sealed(store: ObjectStore) -> bool:
    """Whether evidence was counted since sealing was ended, or at all; two requests."""
    after = 0
    with suppress(ObjectMissing):
        document = store.read_json(layout.tally_ended())
        with understood(layout.tally_ended()):
            after = int(document["after"])
    return store.exists(layout.tally_entry(after + 1))


def end_sealing(store: ObjectStore) -> None:
    """Let processes without a key write evidence again; whoever trusts a key still asks for a seal."""
    if seq := read_tally(store, ()).seq:
        store.put_json(layout.tally_ended(), {"after": seq})
