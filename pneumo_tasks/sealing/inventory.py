"""The inventory: evidence of the time before there was a key is counted, once, because a person says so.

Nothing counts it by itself at the first use of a key: whoever deleted the tally would else have whatever they
left sealed by the next process that has the key.
"""

import logging

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


def seal_evidence(settings: Settings, store: ObjectStore) -> list[str]:
    """Count all evidence that nobody sealed; returns its keys.

    CorruptArtefact where an object that was sealed is another now, or missing: that is for a backup to mend.
    BadConfiguration where there is no key to sign with.
    """
    guard, plain = Guard(settings), unguarded(store)
    tally = guard.today(plain)
    there = [listed.key for folder in FOLDERS for listed in plain.list_objects(folder)]
    keys = [key for key in there if is_evidence(key)]
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
    new = {key: digest for key, digest in digests.items() if counted[key] is None}
    for start in range(0, len(new), _AN_ENTRY):
        guard.count(plain, dict(list(new.items())[start : start + _AN_ENTRY]))
    log.info("%d objects of evidence sealed", len(new))
    return sorted(new)
