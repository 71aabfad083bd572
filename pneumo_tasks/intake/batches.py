"""Batches as they are handed in: a folder goes up whole, and batch.json, written last, makes it complete."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks import layout
from pneumo_tasks.errors import BadBatch, ConditionFailed, CorruptArtefact, ObjectMissing
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.journal import now
from pneumo_tasks.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.settings import Settings

Split = Literal["train", "test", "auto"]
State = Literal["incomplete", "waiting", "accepted", "rejected"]
Progress = Callable[[int, int], None]

_THREADS = 16
_LITTER = {"Thumbs.db", "desktop.ini", "__MACOSX"}


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


class BatchState(BaseModel):
    """One line of the list of batches; ``reasons`` say why a batch was rejected."""

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


def upload_batch(
    settings: Settings,
    store: ObjectStore,
    folder: Path,
    batch_id: str,
    split: Split = "auto",
    synthetic: bool = False,
    on_progress: Progress | None = None,
) -> Batch:
    """Send a folder to ``incoming/<batch_id>/`` as it is; hidden files stay behind.

    A folder holds images.csv, or folders named by label. Nothing is judged here: that is the
    validation's work. An upload that was cut short is simply done again. Raises BadBatch where
    there is nothing to send or the batch is already complete.
    """
    del settings  # the same signature as the other stages
    if store.exists(layout.batch_manifest(batch_id)):
        raise BadBatch(
            "a complete batch has this id", where=batch_id, do="Batches never change: use another id."
        )
    folder = _choose_folder(folder, split)
    files = sorted(_files_below(folder))
    listed = folder / "images.csv"
    images = [path for path in files if path != listed]
    if not images:
        raise BadBatch("no files to send", where=str(folder), do="Give a folder with images in it.")
    manifest = listed.read_bytes() if listed.is_file() else _manifest_of(folder, images)

    digests = _send(store, folder, images, batch_id, on_progress)
    store.put(layout.batch_images_csv(batch_id), manifest, "text/csv")
    batch = Batch(
        batch_id=batch_id,
        created_at=now(),
        split=split,
        synthetic=synthetic,
        images=len(images),
        images_csv_sha256=sha256(manifest),
        files_sha256=sha256("\n".join(digests).encode()),
    )
    try:
        store.put_if_absent(layout.batch_manifest(batch_id), canonical_json(batch.model_dump(mode="json")))
    except ConditionFailed:
        raise BadBatch(
            "somebody else completed a batch of this id", where=batch_id, do="Use another id."
        ) from None
    return batch


def _send(
    store: ObjectStore, folder: Path, images: list[Path], batch_id: str, on_progress: Progress | None
) -> list[str]:
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
    return digests


def _choose_folder(folder: Path, split: Split) -> Path:
    """The folder itself, or the half of the public layout ({train,test}/<label>/) that ``split`` names."""
    if not folder.is_dir():
        raise BadBatch("not a folder", where=str(folder), do="Give the folder that holds the images.")
    halves = [name for name in ("train", "test") if (folder / name).is_dir()]
    if not halves or (folder / "images.csv").is_file():
        return folder
    if split in halves:
        return folder / split
    raise BadBatch(
        "the folder holds a division into train and test",
        where=str(folder),
        found=f"{', '.join(halves)}; asked for split {split}",
        do="Upload each half as a batch of its own, with --split train or --split test.",
    )


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part in _LITTER for part in parts):
            yield path


def _manifest_of(folder: Path, images: list[Path]) -> bytes:
    """images.csv of labelled folders: the folder's name is the label, as it is."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "patient_id"])
    for path in images:
        relative = path.relative_to(folder)
        writer.writerow([relative.as_posix(), relative.parent.name, ""])
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_batch(store: ObjectStore, batch_id: str) -> tuple[Batch, str]:
    """A complete batch and its digest; ObjectMissing where it is not complete, BadBatch where unreadable."""
    body = store.read(layout.batch_manifest(batch_id))
    try:
        return Batch.model_validate(json.loads(body)), sha256(body)
    except (ValueError, ValidationError) as error:
        raise BadBatch(
            "batch.json cannot be read",
            where=layout.batch_manifest(batch_id),
            found=str(error).splitlines()[0],
            do="Upload the folder again under another id.",
        ) from None


def list_batches(store: ObjectStore) -> list[BatchState]:
    """Every batch of the bucket with its state, by id; unreadable ones count as incomplete."""
    batch_ids = store.list_folders(layout.INCOMING)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda batch_id: describe_batch(store, batch_id), sorted(batch_ids)))


def describe_batch(store: ObjectStore, batch_id: str) -> BatchState:
    """The state of one batch, from its manifest and its verdict."""
    try:
        batch, digest = read_batch(store, batch_id)
    except ObjectMissing:
        return BatchState(batch_id=batch_id, state="incomplete")
    except (BadBatch, CorruptArtefact) as error:
        return BatchState(batch_id=batch_id, state="incomplete", reasons=[str(error)])
    verdict = read_verdict(store, batch_id, digest)
    return _state_of(batch, digest, verdict)


def show_batch(store: ObjectStore, batch_id: str) -> dict[str, Any]:
    """One batch with every rejected file; ObjectMissing where there is nothing of that name."""
    if next(iter(store.list_objects(layout.incoming(batch_id))), None) is None:
        raise ObjectMissing("no such batch", where=layout.incoming(batch_id), do="See `pneumo batch list`.")
    state = describe_batch(store, batch_id)
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
        images=batch.images,
        accepted=verdict.accepted if verdict else 0,
        quarantined=verdict.quarantined if verdict else 0,
        reasons=verdict.reasons if verdict else [],
    )


def discover_batches(store: ObjectStore) -> list[str]:
    """The ids of the batches that are complete and have no verdict yet, oldest first."""
    waiting = [state for state in list_batches(store) if state.state == "waiting"]
    return [state.batch_id for state in sorted(waiting, key=lambda s: (s.created_at, s.batch_id))]
