"""Batches as they are handed in: sent as they are, and complete when batch.json, written last, is there."""

import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, ValidationInfo, field_validator

from pneumo_tasks.errors import BadBatch, ConditionFailed
from pneumo_tasks.intake.containers.folders import archive_in, files_below
from pneumo_tasks.intake.containers.names import arrange, refuse_other_halves
from pneumo_tasks.intake.containers.proofs import read_sent
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256, sha256_of_file

Split = Literal["train", "test", "auto"]
Progress = Callable[[int, int], None]

MAX_FILES_JSON = 256 * 2**20
MAX_BATCH_JSON = 2**20
_THREADS = 16


class SentFile(BaseModel):
    """One line of files.json: a file as it was sent; its object is named by its digest."""

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    size: int


class Batch(BaseModel):
    """batch.json: what the sender declares. The digest of a batch is the sha256 of this document.

    Files lie under keys by their content: ``files_json_sha256`` names the list of them, images.csv among
    them. Earlier releases named images.csv apart; before there was a list, files lay under their paths.
    The labels of an ``unlabelled`` batch come later, in a batch that replaces it and has ``labels_sha256``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    batch_id: str
    created_at: str
    split: Split = "auto"
    synthetic: bool = False
    images: int
    images_csv_sha256: str = ""
    files_sha256: str = ""
    files_json_sha256: str = ""
    archive: Literal["", "archive.zip", "archive.tar"] = ""
    replaces: list[str] = []
    unlabelled: bool = False
    labels_sha256: str = ""

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
    unlabelled: bool = False,
) -> Batch:
    """Send a folder, a .zip or a .tar to ``incoming/<batch_id>/`` as it is; hidden files stay behind.

    It holds images.csv, or folders named by label. No film is judged here: that is the
    validation's work. An upload that was cut short is simply done again, also with other files:
    objects are named by their content, and batch.json alone says which of them are the batch. So of
    two uploads of one id the slower is refused and has changed nothing. The same files once more are the
    batch that is there: whoever was killed, or lost the answer, does it again. ``unlabelled``: its labels
    come later. Raises BadBatch where there is nothing to send, a folder holds another split, or a complete
    batch of other files has this id.
    """
    del settings  # the same signature as the other stages
    there = store.exists(layout.batch_manifest(batch_id))
    to = None if there else store  # then the files are only compared
    archive = archive_in(folder)
    sent = (
        _send_archive(to, archive, batch_id)
        if archive
        else _send_folder(to, folder, split, batch_id, on_progress)
    )
    batch = Batch(
        batch_id=batch_id,
        created_at=now(),
        split=split,
        synthetic=synthetic,
        replaces=replaces or [],
        unlabelled=unlabelled,
        **sent,
    )
    return _the_same(store, batch) if there else complete(store, batch)


def complete(store: ObjectStore, batch: Batch) -> Batch:
    """Write batch.json, last of all; returns what is there where it says the same, else BadBatch."""
    body = canonical_json(batch.model_dump(mode="json"))
    try:
        store.put_if_absent(layout.batch_manifest(batch.batch_id), body)
    except ConditionFailed:  # by somebody else, or by this write, whose answer was lost
        return _the_same(store, batch)
    return batch


def _the_same(store: ObjectStore, batch: Batch) -> Batch:
    there, _ = read_batch(store, batch.batch_id)
    if there.model_copy(update={"created_at": batch.created_at}) != batch:
        raise BadBatch(
            "a complete batch of other files has this id",
            where=batch.batch_id,
            do="Batches never change: use another id.",
        )
    return there


def _send_archive(store: ObjectStore | None, path: Path, batch_id: str) -> dict[str, Any]:
    digest = sha256_of_file(path)
    key = layout.incoming_file(batch_id, digest)
    if store is not None and store.upload(key, path) != digest:
        raise BadBatch("the archive changed while it was sent", where=str(path), do="Send it again.")
    name = f"archive{path.suffix.lower()}"
    return {"images": 0, "files_sha256": digest, "archive": name}


def _send_folder(
    store: ObjectStore | None, folder: Path, split: Split, batch_id: str, on_progress: Progress | None
) -> dict[str, Any]:
    files = sorted(files_below(folder))
    names = [_name(path.relative_to(folder)) for path in files]
    refuse_other_halves(names, split, str(folder))
    tree = arrange(names, str(folder))
    if not tree.files:
        raise BadBatch("no files to send", where=str(folder), do="Give a folder with images in it.")

    def send(path: Path, name: str) -> dict[str, Any]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadBatch("a file cannot be read", where=str(path), found=str(error.strerror)) from None
        return {"path": name, "sha256": _send(store, batch_id, data), "size": len(data)}

    sent: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for file in pool.map(send, files, names):
            sent.append(file)
            if on_progress:
                on_progress(len(sent), len(files))
    listed = _send(store, batch_id, canonical_json(sent), "application/json")
    return {"images": len(tree.files), "files_json_sha256": listed}


def _name(relative: Path) -> str:
    """The name as text that can be written down: a byte that is no UTF-8 becomes U+FFFD."""
    return os.fsencode(relative.as_posix()).decode("utf-8", "replace")


def _send(
    store: ObjectStore | None, batch_id: str, data: bytes, kind: str = "application/octet-stream"
) -> str:
    digest = sha256(data)
    if store is not None:
        store.put(layout.incoming_file(batch_id, digest), data, kind)
    return digest


def read_batch(store: ObjectStore, batch_id: str) -> tuple[Batch, str]:
    """A complete batch and its digest; ObjectMissing where it is not complete, BadBatch where unreadable."""
    key = layout.batch_manifest(batch_id)
    size = max((listed.size for listed in store.list_objects(key) if listed.key == key), default=0)
    if size > MAX_BATCH_JSON:
        raise BadBatch("batch.json is too large", where=key, found=f"{size} bytes, limit {MAX_BATCH_JSON}")
    body = store.read(key)
    try:
        batch = Batch.model_validate(json.loads(body), context={"folder": batch_id})
        _check_form(batch)
        return batch, sha256(body)
    except (ValueError, ValidationError, RecursionError) as error:
        raise BadBatch(
            "batch.json cannot be read",
            where=layout.batch_manifest(batch_id),
            found=" ".join(str(error).split())[:300],
            do="Upload the folder again under another id.",
        ) from None


def _check_form(batch: Batch) -> None:
    """ValueError for what we never write: later stages and lists write these values down again."""
    if not re.fullmatch(r"[\x20-\x7e]{0,64}", batch.created_at):
        raise ValueError("created_at is no time")
    if not 0 <= batch.images <= 10**7:
        raise ValueError(f"{batch.images} images, limit 10000000")
    if len(batch.replaces) > 1000 or not all(map(layout.is_identifier, batch.replaces)):
        raise ValueError("replaces holds what is no batch id, or more than 1000 of them")
    for name in ("images_csv_sha256", "files_sha256", "files_json_sha256", "labels_sha256"):
        if not re.fullmatch(r"[A-Za-z0-9]{0,64}", getattr(batch, name)):
            raise ValueError(f"{name} is no digest")


def read_files(store: ObjectStore, batch: Batch) -> list[SentFile]:
    """files.json of a batch as it was sent; BadBatch where it is no such list."""
    key = layout.incoming_file(batch.batch_id, batch.files_json_sha256)
    body = read_sent(store, key, batch.files_json_sha256, MAX_FILES_JSON)
    try:
        return TypeAdapter(list[SentFile]).validate_json(body)
    except ValidationError as error:
        found = " ".join(str(error).split())[:300]
        raise BadBatch("files.json cannot be read", where=key, found=found, do="Upload it again.") from None
