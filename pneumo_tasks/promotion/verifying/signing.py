"""When signing begins in a bucket that has a history, and when it ends."""

from collections.abc import Sequence
from typing import Any

from pneumo_tasks.errors import BadConfiguration, PromotionRefused
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import ENDED, append_sealed, sealed, signed_since
from pneumo_tasks.promotion.ledger.signatures import sign_again, signer_of
from pneumo_tasks.promotion.protocol.governing import check_consent
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.verifying.evidence import check_tally
from pneumo_tasks.sealing.evidence import is_evidence
from pneumo_tasks.sealing.inventory import Unsealed, find_unsealed, seal_evidence
from pneumo_tasks.sealing.keys import signing_key
from pneumo_tasks.sealing.tally import end_sealing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, check_digest, sha256

COMPARE = (
    "Nobody with this key signed these: whoever could write to the bucket, or had a former key, may have put "
    "some of them there, or changed them. Signed, they count as ours for good. Compare them with what you "
    "know:\n"
    "- nothing is newer than the day that the key was set (or this release installed);\n"
    "- the numbers are those of your records or of a backup: --list names each object;\n"
    "- `pneumo batch list` and `pneumo models history`, without the key, show no batch, withdrawal or "
    "version that you do not know."
)


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


def find_unsigned(settings: Settings, store: ObjectStore) -> list[Unsealed]:
    """What the key of the settings did not sign, as it is now: documents to sign, then evidence to seal.

    That is what was made before there was a key, and what a former one signed. The documents are every
    manifest that the ledger names, every protocol that was activated, the entry of the champion and the last
    entry, which stand for all before them, and every signed entry. CorruptArtefact where the ledger names
    evidence that is not counted, or a document was signed by a key that is not trusted.
    """
    signer = signing_key(settings)
    if signer is None:
        raise BadConfiguration("there is no key to sign with", do="Set PNEUMO_SIGNING_KEY.")
    entries = ledger.read_ledger(store, every_object=True)
    wanted = [layout.model(entry.version, "manifest.json") for entry in entries if entry.version and
              entry.manifest_sha256]  # fmt: skip
    wanted += [
        layout.protocol(entry.sha256) for entry in entries if entry.kind == "protocol" and entry.sha256
    ]
    wanted += [layout.ledger_entry(entry.seq) for entry in entries if entry.replaces is not None]
    wanted += [layout.ledger_entry(entries[-1].seq)] if entries else []
    wanted += [layout.ledger_entry(seq) for seq in sealed(store)]
    check_tally(settings, store, entries)
    own = signer.public_key().public_bytes_raw().hex()
    missing = [key for key in dict.fromkeys(wanted) if signer_of(settings, store, key) != own]
    return [*(_as_it_is(store, key) for key in missing), *find_unsealed(settings, store)]


def sign_history(settings: Settings, store: ObjectStore, found: Sequence[Unsealed]) -> list[str]:
    """Sign and seal what ``find_unsigned`` found; returns the keys. Whoever calls has verified the bucket.

    CorruptArtefact where a document is another by now: it is not signed.
    """
    evidence = [one for one in found if is_evidence(one.key)]
    documents = [one for one in found if not is_evidence(one.key)]
    for one in documents:
        body = store.read(one.key)
        check_digest(sha256(body), one.sha256, one.key)
        sign_again(settings, store, one.key, body)
    seal_evidence(settings, store, evidence)
    return [one.key for one in found]


def by_kind(found: Sequence[Unsealed]) -> list[dict[str, Any]]:
    """How many there are of each kind, with the times of the oldest and the newest, for people."""
    rows: dict[str, dict[str, Any]] = {}
    for one in sorted(found, key=lambda one: one.row["modified"] or ""):
        kind, moment = one.key.partition("/")[0], one.row["modified"]
        row = rows.setdefault(kind, {"kind": kind, "objects": 0, "oldest": moment})
        row |= {"objects": row["objects"] + 1, "newest": moment}
    return [rows[kind] for kind in sorted(rows)]


def _as_it_is(store: ObjectStore, key: str) -> Unsealed:
    modified = next((listed.modified for listed in store.list_objects(key) if listed.key == key), None)
    return Unsealed(key, sha256(store.read(key)), modified)
