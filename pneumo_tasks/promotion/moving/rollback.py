"""The ways to change the champion by hand: back to a former one, or to none."""

from dataclasses import dataclass

from pneumo_tasks.errors import BadConfiguration, PromotionRefused
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import append_sealed, refuse_unsigned
from pneumo_tasks.promotion.ledger.signatures import sign_stored
from pneumo_tasks.promotion.protocol.governing import check_consent
from pneumo_tasks.promotion.registry.champion import Manifest
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.pointer import Moved, Pointer, read_pointer, try_move_pointer
from pneumo_tasks.promotion.registry.versions import verify_version
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256


def rollback(settings: Settings, store: ObjectStore, version: str, request: ChangeRequest) -> Moved:
    """Make a former champion the champion again.

    Only what was live before may come back, and only if every digest of it still fits. The same
    request again, after a crash or a success, ends where the first would have. PromotionRefused
    where the version was never live, is live, or the approval says no.
    """
    pointer, etag = read_pointer(store)
    walk = ledger.effective(ledger.read_ledger(store), pointer.seq) if pointer else []
    for entry in walk:
        if entry.kind == "rolled-back" and entry.attempt == _attempt("rolled-back", request):
            if entry.version != version:
                raise PromotionRefused(
                    f"this request went back to {entry.version} already",
                    found=f"ledger entry {entry.seq}; now {version} is wanted",
                    do="Start a new rollback for another version.",
                )
            return Moved.by(entry)
    if version not in {entry.version for entry in walk}:
        raise PromotionRefused(
            f"version {version} was never the champion", do="See `pneumo models history` for those that were."
        )
    if pointer is not None and pointer.version == version:
        raise PromotionRefused(f"version {version} is the champion already")
    manifest = verify_version(settings, store, version)
    check_consent(settings, store, request.by, request.approval)
    sign_stored(settings, store, layout.model(version, "manifest.json"))
    return _move(settings, store, pointer, etag, PointerChange("rolled-back", manifest, request))


def reset_champion(settings: Settings, store: ObjectStore, request: ChangeRequest) -> Moved:
    """Leave no champion: the next candidate is judged by the floors alone. Recorded like all else."""
    pointer, etag = read_pointer(store)
    if pointer is None or pointer.version is None:
        raise PromotionRefused("there is no champion to reset")
    check_consent(settings, store, request.by, request.approval)
    return _move(settings, store, pointer, etag, PointerChange("reset", None, request))


@dataclass(frozen=True)
class PointerChange:
    """What is to become of the pointer, and who asked."""

    kind: ledger.Kind
    manifest: Manifest | None
    request: ChangeRequest


def _move(
    settings: Settings, store: ObjectStore, pointer: Pointer | None, etag: str | None, change: PointerChange
) -> Moved:
    kind, manifest, request = change.kind, change.manifest, change.request
    if not request.reason.strip():
        raise BadConfiguration("a reason is missing", do="Say why with --reason.")
    if request.approval is not None and request.approval.verdict == "reject":
        raise PromotionRefused(request.approval.sentence)
    store.check_conditional_writes()
    refuse_unsigned(settings, store)
    entry = append_sealed(
        settings,
        store,
        ledger.NewEntry(
            kind=kind,
            version=manifest.version if manifest else None,
            sha256=manifest.sha256 if manifest else None,
            manifest_sha256=_stored_digest(store, manifest),
            replaces=pointer.seq if pointer else 0,
            attempt=_attempt(kind, request),
            by=request.by,
            reason=request.reason,
            approval=request.approval,
        ),
    )
    if not try_move_pointer(store, entry, etag):
        found, _ = read_pointer(store)
        raise PromotionRefused(
            "the champion changed meanwhile",
            found=f"now {found.version if found else 'none'}",
            do="Look again, then decide again.",
        )
    return Moved.by(entry)


def _stored_digest(store: ObjectStore, manifest: Manifest | None) -> str | None:
    return sha256(store.read(layout.model(manifest.version, "manifest.json"))) if manifest else None


def _attempt(kind: ledger.Kind, request: ChangeRequest) -> str:
    return f"{kind}-{request.attempt}"
