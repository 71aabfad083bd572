"""When signing begins in a bucket that has a history, and when it ends."""

from pneumo_tasks.errors import BadConfiguration, PromotionRefused
from pneumo_tasks.promotion.protocol.governing import check_consent
from pneumo_tasks.promotion.registry import ledger
from pneumo_tasks.promotion.registry.evidence import check_tally
from pneumo_tasks.promotion.registry.rollback import ChangeRequest
from pneumo_tasks.promotion.registry.seals import ENDED, append_sealed, signed_since
from pneumo_tasks.promotion.registry.signatures import sign_stored
from pneumo_tasks.sealing.inventory import seal_evidence
from pneumo_tasks.sealing.tally import end_sealing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def end_signing(settings: Settings, store: ObjectStore, request: ChangeRequest) -> ledger.LedgerEntry:
    """Write into the ledger that what follows need not be signed; whoever trusts a key still asks for it."""
    if not request.reason.strip():
        raise PromotionRefused("the end of signing needs a reason", do="Say why, with --reason.")
    since = signed_since(store)
    if since is None:
        raise PromotionRefused("this bucket is not signed", where=layout.SEALS)
    check_consent(settings, store, request.by, request.approval)
    entry = append_sealed(
        settings,
        store,
        ledger.NewEntry(
            kind=ENDED,
            version=None,
            attempt=f"{ENDED}-{since}",
            by=request.by,
            reason=request.reason,
            approval=request.approval,
        ),
    )
    end_sealing(store)
    return entry


def sign_history(settings: Settings, store: ObjectStore) -> list[str]:
    """Sign and seal what was made before there was a key; returns the keys of the documents.

    That is every manifest that the ledger names, every protocol that was activated, the entry of the
    champion and the last entry, which stand for all before them; and all evidence that nobody sealed.
    Whoever calls has verified them. CorruptArtefact where the ledger names evidence that is not counted.
    """
    if settings.signing_key is None:
        raise BadConfiguration("there is no key to sign with", do="Set PNEUMO_SIGNING_KEY.")
    entries = ledger.read_ledger(store, every_object=True)
    wanted = [layout.model(entry.version, "manifest.json") for entry in entries if entry.version and
              entry.manifest_sha256]  # fmt: skip
    wanted += [
        layout.protocol(entry.sha256) for entry in entries if entry.kind == "protocol" and entry.sha256
    ]
    wanted += [layout.ledger_entry(entry.seq) for entry in entries if entry.replaces is not None]
    wanted += [layout.ledger_entry(entries[-1].seq)] if entries else []
    check_tally(settings, store, entries)
    missing = [key for key in dict.fromkeys(wanted) if not store.exists(layout.signature_of(key))]
    for key in missing:
        sign_stored(settings, store, key)
    return [*missing, *seal_evidence(settings, store)]
