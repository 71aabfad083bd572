"""``pneumo models verify``: every digest, the ledger's chain, the pointer, the signatures."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.promotion.registry import ledger
from pneumo_tasks.promotion.registry.champion import read_champion, read_pointer
from pneumo_tasks.promotion.registry.signatures import check_signature
from pneumo_tasks.promotion.registry.versions import verify_version
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, check_digest, sha256


class Finding(BaseModel):
    """``note`` is worth knowing, but nothing is wrong."""

    model_config = ConfigDict(frozen=True)

    subject: str
    verdict: Literal["pass", "fail", "note"]
    detail: str


def verify(settings: Settings, store: ObjectStore) -> list[Finding]:
    """Read everything a champion rests on; one finding a subject, failures included, none raised."""
    entries: list[ledger.Entry] = []

    def chain() -> str:
        entries.extend(ledger.read_ledger(store, every_object=True))
        return f"{len(entries)} entries, unbroken"

    findings = [_finding("ledger", chain), _finding("champion", lambda: _champion(store, entries))]
    findings.append(_finding("decisions", lambda: _decisions(store, entries)))
    findings += [_stranger(name) for name in strangers(store)]
    for version in filter(layout.is_identifier, store.list_folders(layout.MODELS)):
        if store.exists(layout.model(version, "manifest.json")):
            findings.append(_finding(version, partial(_version, settings, store, version, entries)))
        else:
            detail = "no manifest: a promotion stopped half way; promoting its run again completes it"
            findings.append(Finding(subject=version, verdict="note", detail=detail))
    return findings


def strangers(store: ObjectStore) -> list[str]:
    """What lies in our folders and is none of ours: nobody reads it, and nothing stops because of it."""
    versions = [layout.MODELS + n for n in store.list_folders(layout.MODELS) if not layout.is_identifier(n)]
    runs = [layout.RUNS + name for name in store.list_folders(layout.RUNS) if not layout.is_run_key(name)]
    return [*ledger.strangers(store), *versions, *runs]


def _stranger(name: str) -> Finding:
    return Finding(subject=name, verdict="note", detail="not an object of ours: it is left alone")


def _champion(store: ObjectStore, entries: list[ledger.Entry]) -> str:
    pointer, _ = read_pointer(store)
    if pointer is None:
        return "none was ever promoted"
    live = ledger.effective(entries, pointer.seq)
    champion = read_champion(store)
    if champion is None:
        return f"reset by entry {pointer.seq}"
    return f"{champion.version}, entry {pointer.seq}, after {len(live) - 1} others"


def _decisions(store: ObjectStore, entries: list[ledger.Entry]) -> str:
    """The documents that entries rest on are those that were written then."""
    named = [entry for entry in entries if entry.decision is not None]
    for entry in named:
        if entry.decision is not None:
            store.read_verified(entry.decision.key, entry.decision.sha256)
    return f"{len(named)} of {len(entries)} entries name the decision that they rest on"


def _version(settings: Settings, store: ObjectStore, version: str, entries: list[ledger.Entry]) -> str:
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
