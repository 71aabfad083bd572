"""``pneumo models verify``: every digest, the ledger's chain, the pointer, the signatures."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.records.register import SEGMENTS
from pneumo_tasks.promotion.deciding.steps import is_asking
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import check_sealed, sealed, signed_since
from pneumo_tasks.promotion.ledger.signatures import check_signature
from pneumo_tasks.promotion.registry.anchors import Anchor, check_anchor
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.registry.versions import verify_version
from pneumo_tasks.promotion.runs.runs import optional
from pneumo_tasks.promotion.verifying.evidence import check_evidence
from pneumo_tasks.promotion.verifying.judged_by import check_protocols
from pneumo_tasks.sealing.inventory import unguarded
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, check_digest, sha256


class Finding(BaseModel):
    """``note`` is worth knowing, but nothing is wrong."""

    model_config = ConfigDict(frozen=True)

    subject: str
    verdict: Literal["pass", "fail", "note"]
    detail: str


def verify(settings: Settings, store: ObjectStore, since: Sequence[Anchor] = ()) -> list[Finding]:
    """Read everything a champion rests on; one finding a subject, failures included, none raised.

    ``since`` are anchors that somebody kept elsewhere: the ledger has to go on from each.
    """
    entries: list[ledger.LedgerEntry] = []

    def chain() -> str:
        entries.extend(ledger.read_ledger(store, every_object=True))
        kept = f"; anchor {Anchor.of(entries[-1])}" if entries else ""
        return f"{len(entries)} entries, unbroken{kept}"

    findings = [_finding("ledger", chain), _finding("champion", lambda: _champion(store, entries))]
    findings.append(_finding("decisions", lambda: _decisions(store, entries)))
    findings.append(_finding("protocols", lambda: check_protocols(settings, store, entries)))
    findings.append(_finding("signatures", lambda: _signatures(settings, store, entries)))
    findings.append(_finding("evidence", lambda: check_evidence(settings, store, entries)))
    findings += [_finding(f"since {a.seq}", partial(check_anchor, store, entries, a)) for a in since]
    findings += _unfinished(store, entries)
    findings += [_stranger(name) for name in strangers(store)]
    for version in filter(layout.is_identifier, store.list_folders(layout.MODELS)):
        if store.exists(layout.model(version, "manifest.json")):
            findings.append(_finding(version, partial(_version, settings, store, version, entries)))
        else:
            detail = "no manifest: a promotion stopped half way; promoting its run again completes it"
            findings.append(Finding(subject=version, verdict="note", detail=detail))
    return findings


def verify_unsigned(settings: Settings, store: ObjectStore) -> list[Finding]:
    """What fails of a bucket though no signature and no seal is asked for: no key may vouch for it."""
    unasked = settings.model_copy(
        update={"trusted_key": None, "signing_key": None, "require_signature": False}
    )
    return [finding for finding in verify(unasked, unguarded(store)) if finding.verdict == "fail"]


def _signatures(settings: Settings, store: ObjectStore, entries: list[ledger.LedgerEntry]) -> str:
    """Every entry that moved the champion since signing began, and the decision that it rests on."""
    since = signed_since(store)
    if since is None and not (settings.trusted_key or settings.require_signature):
        return "this bucket is not signed: who may write it may change all of it"
    pointer, _ = read_pointer(store)
    live = ledger.effective(entries, pointer.seq) if pointer else []
    if cut := [seq for seq in sealed(store) if seq > len(entries)]:
        raise CorruptArtefact("a signed entry is missing", where=layout.ledger_entry(cut[-1]))
    for seq in sealed(store):  # those that moved nothing, too
        check_sealed(settings, store, layout.ledger_entry(seq))
    checked = [entry for entry in live if entry.seq >= (since or 1)] or live[-1:]
    states = {check_sealed(settings, store, layout.ledger_entry(entry.seq)) for entry in checked}
    return f"{len(checked)} entries: {', '.join(sorted(states)) or 'none has moved the champion'}"


def _unfinished(store: ObjectStore, entries: list[ledger.LedgerEntry]) -> list[Finding]:
    """An entry that replaced the very pointer that is there: it never moved, or somebody set it back."""
    pointer, _ = read_pointer(store)
    at = pointer.seq if pointer else 0
    found = [entry for entry in entries if entry.replaces == at and entry.seq > at]
    moved = [entry for entry in found if _was_promoted(store, entry)]
    if moved:
        detail = f"entry {moved[-1].seq} was the champion, and the pointer is at entry {at}: it was set back"
        return [Finding(subject="pointer", verdict="fail", detail=detail)]
    detail = (
        "the pointer did not move: the promotion or rollback stopped half way, or the pointer was set back"
    )
    return [Finding(subject=f"entry {entry.seq}", verdict="note", detail=detail) for entry in found]


def _was_promoted(store: ObjectStore, entry: ledger.LedgerEntry) -> bool:
    """Whether its run wrote down that the pointer had moved."""
    told = optional(store, layout.run(entry.run_id, "promotion.json")) if entry.run_id else None
    return isinstance(told, dict) and told.get("seq") == entry.seq


def strangers(store: ObjectStore) -> list[str]:
    """What lies in our folders and is none of ours: nobody reads it, and nothing stops because of it."""
    versions = [layout.MODELS + n for n in store.list_folders(layout.MODELS) if not layout.is_identifier(n)]
    runs = [layout.RUNS + name for name in store.list_folders(layout.RUNS) if not layout.is_run_key(name)]
    batches = [
        layout.INCOMING + name
        for name in store.list_folders(layout.INCOMING)
        if not layout.is_identifier(name)
    ]
    return [*ledger.strangers(store), *_beside_documents(store), *batches, *versions, *runs]


def _beside_documents(store: ObjectStore) -> list[str]:
    ours = ((layout.REGISTERED, SEGMENTS.number), (layout.ERROR_BUDGET, is_asking))
    return [
        found.key
        for folder, is_ours in ours
        for found in store.list_objects(folder)
        if not is_ours(found.key)
    ]


def _stranger(name: str) -> Finding:
    return Finding(subject=name, verdict="note", detail="not an object of ours: it is left alone")


def _champion(store: ObjectStore, entries: list[ledger.LedgerEntry]) -> str:
    pointer, _ = read_pointer(store)
    if pointer is None:
        return "none was ever promoted"
    live = ledger.effective(entries, pointer.seq)
    champion = read_champion(store)
    if champion is None:
        return f"reset by entry {pointer.seq}"
    return f"{champion.version}, after {len(live) - 1} others; anchor {Anchor.of(live[-1])}"


def _decisions(store: ObjectStore, entries: list[ledger.LedgerEntry]) -> str:
    """The documents that entries rest on are those that were written then."""
    named = [entry.decision for entry in entries if entry.decision is not None]
    for decision in named:
        store.read_verified(decision.key, decision.sha256)
    return f"{len(named)} of {len(entries)} entries name the decision that they rest on"


def _version(settings: Settings, store: ObjectStore, version: str, entries: list[ledger.LedgerEntry]) -> str:
    manifest = verify_version(settings, store, version)
    key = layout.model(version, "manifest.json")
    digest = sha256(store.read(key))
    for entry in entries:
        if entry.version == version and entry.manifest_sha256 is not None:
            check_digest(digest, entry.manifest_sha256, key)
    return f"{len(manifest.files) + 1} files, {check_signature(settings, store, version)}"


def _finding(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject=subject, verdict="pass", detail=check())
    except (CorruptArtefact, ObjectMissing, ValueError) as error:
        return Finding(subject=subject, verdict="fail", detail=str(error))
