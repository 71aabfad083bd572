"""Whether the evidence of a bucket is what the ledger saw: no tally was cut, nothing counted is missing."""

from collections.abc import Sequence
from functools import partial

from pneumo_tasks.promotion.ledger.ledger import LedgerEntry
from pneumo_tasks.sealing.evidence import FOLDERS, is_evidence
from pneumo_tasks.sealing.guard import guard_of
from pneumo_tasks.sealing.keys import trusted_keys
from pneumo_tasks.sealing.tally import Tally, check_named, read_tally
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import UPGRADING, read_many
from pneumo_tasks.storage.object_store import ObjectStore

_THREADS = 16


def check_evidence(settings: Settings, store: ObjectStore, entries: Sequence[LedgerEntry]) -> str:
    """Says how much is counted; CorruptArtefact where an object or an entry of the tally is another or gone.

    With a trusted key every one of them is read.
    """
    tally = check_tally(settings, store, entries)
    if not trusted_keys(settings):
        return "no key is trusted: who may write this bucket may change all of it"
    fresh = ObjectStore(store.client, store.bucket, guard_of(settings))
    keys = [listed.key for folder in FOLDERS for listed in fresh.list_objects(folder)]
    wanted = [(key, "") for key in keys if is_evidence(key)]
    wanted += [(layout.tally_entry(seq), digest) for seq, digest in enumerate(tally.digests, 1)]
    read_many(partial(_read, fresh), wanted, seconds=UPGRADING, threads=_THREADS)
    return f"{len(tally.below(''))} objects, each as it was sealed; entry {tally.seq} of the tally"


def _read(store: ObjectStore, wanted: tuple[str, str]) -> None:
    """Evidence is compared by the guard of the store, an entry of the tally with the digest in the chain."""
    key, digest = wanted
    store.get(key, digest or None)


def check_tally(settings: Settings, store: ObjectStore, entries: Sequence[LedgerEntry]) -> Tally:
    """The tally, read anew; CorruptArtefact where it does not go on from what the ledger names."""
    tally = read_tally(store, trusted_keys(settings))
    for entry in entries:
        if entry.tally:
            check_named(tally, entry.tally, layout.ledger_entry(entry.seq))
    return tally
