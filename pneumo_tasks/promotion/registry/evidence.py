"""Whether the evidence of a bucket is what the ledger saw: no tally was cut, nothing counted is missing."""

from collections.abc import Sequence

from pneumo_tasks.promotion.registry.ledger import LedgerEntry
from pneumo_tasks.sealing.evidence import FOLDERS
from pneumo_tasks.sealing.guard import guard_of
from pneumo_tasks.sealing.keys import trusted_key
from pneumo_tasks.sealing.tally import Tally, check_named, read_tally
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def check_evidence(settings: Settings, store: ObjectStore, entries: Sequence[LedgerEntry]) -> str:
    """Says how much is counted; CorruptArtefact where the tally or an object that it names is not there."""
    tally = check_tally(settings, store, entries)
    if trusted_key(settings) is None:
        return "no key is trusted: who may write this bucket may change all of it"
    fresh = ObjectStore(store.client, store.bucket, guard_of(settings))
    for folder in FOLDERS:
        for _ in fresh.list_objects(folder):
            pass
    return f"{len(tally.below(''))} objects, all there; entry {tally.seq} of the tally"


def check_tally(settings: Settings, store: ObjectStore, entries: Sequence[LedgerEntry]) -> Tally:
    """The tally, read anew; CorruptArtefact where it does not go on from what the ledger names."""
    tally = read_tally(store, trusted_key(settings))
    for entry in entries:
        if entry.tally:
            check_named(tally, entry.tally, layout.ledger_entry(entry.seq))
    return tally
