"""A bucket that was signed once stays signed, until an entry of its ledger says otherwise.

A key that a worker lost would else make an unsigned champion without a word.
"""

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.signatures import SignatureState, check_stored, sign_stored
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

ENDED = "signing-ended"


def signed_since(store: ObjectStore) -> int | None:
    """The first signed entry after the last one that ended signing; None where the bucket is not signed."""
    seals = sealed(store)
    if not seals:
        return None
    ends = [entry.seq for entry in ledger.read_ledger(store) if entry.kind == ENDED]
    return next((seq for seq in seals if seq > max(ends, default=0)), None)


def sealed(store: ObjectStore) -> list[int]:
    """The entries that were signed, whether they are still there or not."""
    return sorted(filter(None, (_seq(listed.key) for listed in store.list_objects(layout.SEALS))))


def refuse_unsigned(settings: Settings, store: ObjectStore) -> None:
    """BadConfiguration where the bucket is signed and this process has no key to sign with."""
    if settings.signing_key is not None:
        return
    since = signed_since(store)
    if since is not None:
        raise BadConfiguration(
            "this bucket is signed, and there is no key to sign with",
            where=layout.LEDGER,
            found=f"signed since entry {since}",
            do="Set PNEUMO_SIGNING_KEY or the connection pneumo_signing, or `pneumo models end-signing`.",
        )


def append_sealed(settings: Settings, store: ObjectStore, new: ledger.NewEntry) -> ledger.LedgerEntry:
    """Append to the ledger, and sign the entry where a key is set: no entry is made without its seal."""
    entry = ledger.append(store, new)
    sign_stored(settings, store, layout.ledger_entry(entry.seq))
    return entry


def check_sealed(settings: Settings, store: ObjectStore, key: str) -> SignatureState:
    """What the signature of a document is worth that the bucket alone vouches for.

    CorruptArtefact where it has none although a key is trusted, or the bucket is signed.
    """
    state = check_stored(settings, store, key)
    if state == "unsigned" and (since := signed_since(store)) is not None:
        raise CorruptArtefact(
            "the document is not signed, and this bucket is",
            where=key,
            found=f"signed since ledger entry {since}",
            do="Use one that is signed. What was made before there was a key: `pneumo models sign`.",
        )
    return state


def _seq(key: str) -> int | None:
    entry = f"{layout.LEDGER}{key.removeprefix(layout.SEALS)}"
    return int(entry.removeprefix(layout.LEDGER)[:8]) if layout.is_ledger_entry(entry) else None
