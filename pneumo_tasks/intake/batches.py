"""Batches as they are handed in: sent as they are, and complete when batch.json, written last, is there."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from pneumo_tasks.errors import BadBatch, ConditionFailed, CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.archives import SUFFIXES as ARCHIVES
from pneumo_tasks.intake.folders import choose_folder, files_below, manifest_of
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

Split = Literal["train", "test", "auto"]
State = Literal["incomplete", "stale", "waiting", "accepted", "rejected", "withdrawn", "replaced"]
Progress = Callable[[int, int], None]

_THREADS = 16

log = logging.getLogger(__name__)


class Batch(BaseModel):
    """batch.json: what the sender declares. The digest of a batch is the sha256 of this document."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    batch_id: str
    created_at: str
    split: Split = "auto"
    synthetic: bool = False
    images: int
    images_csv_sha256: str
    files_sha256: str = ""
    archive: Literal["", "archive.zip", "archive.tar"] = ""
    replaces: list[str] = []

    @field_validator("batch_id")
    @classmethod
    def _is_its_folder(cls, batch_id: str, info: ValidationInfo) -> str:
        """Else the manifest of one batch could make another batch's files its own."""
        folder = (info.context or {}).get("folder", batch_id)
        if folder != batch_id:
            raise ValueError(f"the manifest of {batch_id!r} lies in the folder of {folder!r}")
        return batch_id


class BatchState(BaseModel):
    """One line of the list of batches; ``reasons`` say why a batch is not used.

    An unfinished upload is ``incomplete``, and ``stale`` when nothing arrived for a day. A
    ``replaced`` batch gave way to an accepted correction of it.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    state: State
    digest: str = ""
    created_at: str = ""
    split: str = ""
    synthetic: bool = False
    images: int = 0
    accepted: int = 0
    quarantined: int = 0
    reasons: list[str] = []
    warnings: list[str] = []
    replaces: list[str] = []


def upload_batch(
    settings: Settings,
    store: ObjectStore,
    folder: Path,
    batch_id: str,
    split: Split = "auto",
    synthetic: bool = False,
    on_progress: Progress | None = None,
    replaces: list[str] | None = None,
) -> Batch:
    """Send a folder, a .zip or a .tar to ``incoming/<batch_id>/`` as it is; hidden files stay behind.

    It holds images.csv, or folders named by label. Nothing is judged here: that is the
    validation's work. An upload that was cut short is simply done again. Raises BadBatch where
    there is nothing to send or the batch is already complete.
    """
    del settings  # the same signature as the other stages
    if store.exists(layout.batch_manifest(batch_id)):
        raise BadBatch(
            "a complete batch has this id", where=batch_id, do="Batches never change: use another id."
        )
    archive = folder.is_file() and folder.suffix.lower() in ARCHIVES
    sent = (
        _send_archive(store, folder, batch_id)
        if archive
        else _send_folder(store, choose_folder(folder, split), batch_id, on_progress)
    )
    batch = Batch(
        batch_id=batch_id,
        created_at=now(),
        split=split,
        synthetic=synthetic,
        replaces=replaces or [],
        **sent,
    )
    try:
        store.put_if_absent(layout.batch_manifest(batch_id), canonical_json(batch.model_dump(mode="json")))
    except ConditionFailed:
        raise BadBatch(
            "somebody else completed a batch of this id", where=batch_id, do="Use another id."
        ) from None
    return batch


def _send_archive(store: ObjectStore, path: Path, batch_id: str) -> dict[str, Any]:
    name = f"archive{path.suffix.lower()}"
    digest = store.upload(layout.incoming(batch_id, name), path)
    return {"images": 0, "images_csv_sha256": "", "files_sha256": digest, "archive": name}


def _send_folder(
    store: ObjectStore, folder: Path, batch_id: str, on_progress: Progress | None
) -> dict[str, Any]:
    listed = folder / "images.csv"
    images = [path for path in sorted(files_below(folder)) if path != listed]
    if not images:
        raise BadBatch("no files to send", where=str(folder), do="Give a folder with images in it.")
    manifest = listed.read_bytes() if listed.is_file() else manifest_of(folder, images)

    def send(path: Path) -> str:
        data, name = path.read_bytes(), path.relative_to(folder).as_posix()
        store.put(layout.incoming(batch_id, name), data)
        return f"{sha256(data)} {name}"

    digests: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for digest in pool.map(send, images):
            digests.append(digest)
            if on_progress:
                on_progress(len(digests), len(images))
    store.put(layout.batch_images_csv(batch_id), manifest, "text/csv")
    return {
        "images": len(images),
        "images_csv_sha256": sha256(manifest),
        "files_sha256": sha256("\n".join(digests).encode("utf-8", "surrogateescape")),
    }


def read_batch(store: ObjectStore, batch_id: str) -> tuple[Batch, str]:
    """A complete batch and its digest; ObjectMissing where it is not complete, BadBatch where unreadable."""
    body = store.read(layout.batch_manifest(batch_id))
    try:
        document = json.loads(body)
        return Batch.model_validate(document, context={"folder": batch_id}), sha256(body)
    except (ValueError, ValidationError, RecursionError) as error:
        raise BadBatch(
            "batch.json cannot be read",
            where=layout.batch_manifest(batch_id),
            found=" ".join(str(error).split())[:300],
            do="Upload the folder again under another id.",
        ) from None


def read_withdrawal(store: ObjectStore, batch_id: str) -> dict[str, Any] | None:
    """The record of a withdrawal, or None."""
    try:
        document: dict[str, Any] = store.read_json(layout.withdrawal(batch_id))
    except ObjectMissing:
        return None
    return document


def list_batches(store: ObjectStore, stale_hours: float = 24.0) -> list[BatchState]:
    """Every batch of the bucket with its state, by id; one whose batch.json is unreadable is rejected."""
    batch_ids = sorted(store.list_folders(layout.INCOMING))
    with ThreadPoolExecutor(_THREADS) as pool:
        states = list(pool.map(lambda batch_id: describe_batch(store, batch_id, stale_hours), batch_ids))
    replaced = {
        old: state.batch_id for state in states if state.state == "accepted" for old in state.replaces
    }
    return [
        state.model_copy(
            update={
                "state": "replaced",
                "accepted": 0,
                "reasons": [f"replaced by {replaced[state.batch_id]}"],
            }
        )
        if state.batch_id in replaced and state.state != "withdrawn"
        else state
        for state in states
    ]


def describe_batch(store: ObjectStore, batch_id: str, stale_hours: float = 24.0) -> BatchState:
    """The state of one batch by itself, from its manifest, its verdict and its withdrawal."""
    try:
        batch, digest = read_batch(store, batch_id)
    except ObjectMissing:
        return _unfinished(store, batch_id, stale_hours)
    except (BadBatch, CorruptArtefact) as error:
        return BatchState(batch_id=batch_id, state="rejected", reasons=[str(error)])
    withdrawal = read_withdrawal(store, batch_id)
    state = _state_of(batch, digest, read_verdict(store, batch_id, digest))
    if withdrawal:
        why = f"withdrawn by {withdrawal['by']} at {withdrawal['at']}: {withdrawal['reason']}"
        return state.model_copy(update={"state": "withdrawn", "accepted": 0, "reasons": [why]})
    return state


def _unfinished(store: ObjectStore, batch_id: str, stale_hours: float) -> BatchState:
    arrived = max(
        (o.modified for o in store.list_objects(layout.incoming(batch_id)) if o.modified), default=None
    )
    hours = (datetime.now(UTC) - arrived).total_seconds() / 3600 if arrived else 0.0
    if hours <= stale_hours:
        return BatchState(batch_id=batch_id, state="incomplete")
    why = f"the upload stopped {hours:.0f} h ago, limit {stale_hours:g} h: send the folder again"
    return BatchState(batch_id=batch_id, state="stale", reasons=[why])


def show_batch(store: ObjectStore, batch_id: str, stale_hours: float = 24.0) -> dict[str, Any]:
    """One batch with every rejected file; ObjectMissing where there is nothing of that name."""
    states = list_batches(store, stale_hours)
    state = next((state for state in states if state.batch_id == batch_id), None)
    if state is None:
        raise ObjectMissing("no such batch", where=layout.incoming(batch_id), do="See `pneumo batch list`.")
    verdict = read_verdict(store, batch_id, state.digest) if state.digest else None
    rejected = [rejection.model_dump() for rejection in verdict.rejected] if verdict else []
    return {**state.model_dump(), "rejected": rejected}


def _state_of(batch: Batch, digest: str, verdict: BatchVerdict | None) -> BatchState:
    return BatchState(
        batch_id=batch.batch_id,
        state=verdict.state if verdict else "waiting",
        digest=digest,
        created_at=batch.created_at,
        split=batch.split,
        synthetic=batch.synthetic,
        images=verdict.images if verdict else batch.images,
        accepted=verdict.accepted if verdict else 0,
        quarantined=verdict.quarantined if verdict else 0,
        reasons=verdict.reasons if verdict else [],
        warnings=verdict.warnings if verdict else [],
        replaces=batch.replaces,
    )


def discover_batches(store: ObjectStore, stale_hours: float = 24.0) -> list[str]:
    """The ids of the batches that are complete and have no verdict yet, oldest first.

    Unfinished uploads are waited for, and said to be stale after ``stale_hours``.
    """
    states = list_batches(store, stale_hours)
    for state in states:
        if state.state in ("incomplete", "stale"):
            log.warning(
                "batch %s is %s%s", state.batch_id, state.state, "".join(f": {r}" for r in state.reasons)
            )
    waiting = [state for state in states if state.state == "waiting"]
    return [state.batch_id for state in sorted(waiting, key=lambda s: (s.created_at, s.batch_id))]
