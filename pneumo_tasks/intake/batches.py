"""Batches as they are handed in: sent as they are, and complete when batch.json, written last, is there."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, ValidationInfo, field_validator

from pneumo_tasks.errors import BadBatch, ConditionFailed
from pneumo_tasks.intake.archives import SUFFIXES as ARCHIVES
from pneumo_tasks.intake.folders import choose_folder, files_below, manifest_of
from pneumo_tasks.intake.proofs import read_sent
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256, sha256_of_file

Split = Literal["train", "test", "auto"]
Progress = Callable[[int, int], None]

MAX_FILES_JSON = 256 * 2**20
_THREADS = 16


class SentFile(BaseModel):
    """One line of files.json: a file as it was sent; its object is named by its digest."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    size: int


class Batch(BaseModel):
    """batch.json: what the sender declares. The digest of a batch is the sha256 of this document.

    Files lie under keys by their content: ``files_json_sha256`` names the list of them, in batches
    that were sent before there was one the files lie under their paths.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    batch_id: str
    created_at: str
    split: Split = "auto"
    synthetic: bool = False
    images: int
    images_csv_sha256: str
    files_sha256: str = ""
    files_json_sha256: str = ""
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
    validation's work. An upload that was cut short is simply done again, also with other files:
    objects are named by their content, and batch.json alone says which of them are the batch. So of
    two uploads of one id the slower is refused and has changed nothing. Raises BadBatch where
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
    digest = sha256_of_file(path)
    key = layout.incoming_file(batch_id, digest)
    if store.upload(key, path) != digest:
        raise BadBatch("the archive changed while it was sent", where=str(path), do="Send it again.")
    name = f"archive{path.suffix.lower()}"
    return {"images": 0, "images_csv_sha256": "", "files_sha256": digest, "archive": name}


def _send_folder(
    store: ObjectStore, folder: Path, batch_id: str, on_progress: Progress | None
) -> dict[str, Any]:
    listed = folder / "images.csv"
    images = [path for path in sorted(files_below(folder)) if path != listed]
    if not images:
        raise BadBatch("no files to send", where=str(folder), do="Give a folder with images in it.")
    manifest = listed.read_bytes() if listed.is_file() else manifest_of(folder, images)

    def send(path: Path) -> dict[str, Any]:
        data = path.read_bytes()
        digest = _send(store, batch_id, data)
        name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "replace")
        return {"path": name, "sha256": digest, "size": len(data)}

    sent: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for file in pool.map(send, images):
            sent.append(file)
            if on_progress:
                on_progress(len(sent), len(images))
    return {
        "images": len(images),
        "images_csv_sha256": _send(store, batch_id, manifest, "text/csv"),
        "files_json_sha256": _send(store, batch_id, canonical_json(sent), "application/json"),
    }


def _send(store: ObjectStore, batch_id: str, data: bytes, kind: str = "application/octet-stream") -> str:
    digest = sha256(data)
    store.put(layout.incoming_file(batch_id, digest), data, kind)
    return digest


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


def read_files(store: ObjectStore, batch: Batch) -> list[SentFile]:
    """files.json of a batch as it was sent; BadBatch where it is no such list."""
    key = layout.incoming_file(batch.batch_id, batch.files_json_sha256)
    body = read_sent(store, key, batch.files_json_sha256, MAX_FILES_JSON)
    try:
        return TypeAdapter(list[SentFile]).validate_json(body)
    except ValidationError as error:
        found = " ".join(str(error).split())[:300]
        raise BadBatch("files.json cannot be read", where=key, found=found, do="Upload it again.") from None
