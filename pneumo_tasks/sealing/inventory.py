"""The inventory: evidence of the time before there was a key is counted, once, because a person says so.

Nothing counts it by itself at the first use of a key: whoever deleted the tally would else have whatever they
left sealed by the next process that has the key.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.sealing.evidence import FOLDERS, is_evidence
from pneumo_tasks.sealing.guard import Guard
from pneumo_tasks.sealing.tally import GONE
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.many_reads import UPGRADING, read_many
from pneumo_tasks.storage.object_store import ObjectStore, sha256

log = logging.getLogger(__name__)

_AN_ENTRY = 1000  # objects that one entry of the tally counts
_THREADS = 16


def unguarded(store: ObjectStore) -> ObjectStore:
    """The bucket as it is, whatever was sealed."""
    return ObjectStore(store.client, store.bucket)


class Unsealed(NamedTuple):
    """An object that somebody with the key would vouch for: as it is, and its time by the store's clock."""

    key: str
    sha256: str
    modified: datetime | None

    @property
    def row(self) -> dict[str, str | None]:
        """For people and scripts."""
        modified = self.modified.isoformat(timespec="seconds") if self.modified else None
        return {"key": self.key, "modified": modified, "sha256": self.sha256}


def find_unsealed(settings: Settings, store: ObjectStore) -> list[Unsealed]:
    """All evidence that nobody sealed, by key; nothing is written.

    CorruptArtefact where an object that was sealed is another now, or missing: that is for a backup to mend.
    """
    guard, plain = Guard(settings), unguarded(store)
    tally = guard.today(plain)
    there = [listed for folder in FOLDERS for listed in plain.list_objects(folder) if is_evidence(listed.key)]
    keys = [listed.key for listed in there]
    bodies = read_many(lambda key: sha256(plain.read(key)), keys, seconds=UPGRADING, threads=_THREADS)
    digests = dict(zip(keys, bodies, strict=True))
    counted = {key: tally.of(key) for key in digests} | {key: tally.of(key) for key in tally.below("")}
    wrong = [key for key, digest in counted.items() if digest not in (None, GONE, digests.get(key))]
    if wrong:
        raise CorruptArtefact(
            "evidence was changed or deleted since it was sealed",
            where=min(wrong),
            found=f"{len(wrong)} objects",
            do="Restore it from a backup.",
        )
    moments = {listed.key: listed.modified for listed in there}
    return [Unsealed(key, digests[key], moments[key]) for key in sorted(digests) if counted[key] is None]


def seal_evidence(settings: Settings, store: ObjectStore, found: Sequence[Unsealed]) -> None:
    """Count ``found`` by the digests that a person was shown: readers refuse what changed since then.

    From then on the key of the settings vouches for the whole tally, also where a former one made it.
    BadConfiguration where there is no key to sign with.
    """
    guard, plain = Guard(settings), unguarded(store)
    for start in range(0, len(found), _AN_ENTRY):
        guard.count(plain, {one.key: one.sha256 for one in found[start : start + _AN_ENTRY]})
    guard.count(plain, {}, take_over=True)
    log.info("%d objects of evidence sealed", len(found))
