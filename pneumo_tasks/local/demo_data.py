"""What the demo hands in: phantoms it drew, or a folder of real X-rays, as batches named by content."""

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.sent.batches import Split, upload_batch
from pneumo_tasks.local.phantoms import draw_phantoms, spoil, write_phantoms
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256_of_file

# The public data set's 16 'val' images belong to training: validation is taken from train by patient.
_HALVES: dict[str, Split] = {"train": "train", "val": "train", "test": "test"}
_LAYOUTS = (
    "a folder with images.csv, or {train,test}/{NORMAL,PNEUMONIA}/<images>, or {NORMAL,PNEUMONIA}/<images>"
)


# Few and faint enough that the figures are not perfect and their intervals are visibly wide.
TRAIN_PER_LABEL, TEST_PER_LABEL, FAINTEST = 100, 50, 0.4


@dataclass(frozen=True)
class Handover:
    """A folder of so many files that goes up as one batch; the id ends with a digest of its content."""

    folder: Path
    batch_id: str
    split: Split
    synthetic: bool
    files: int


def batches_in(folder: Path) -> list[Handover]:
    """One batch for each half of the public layout, else one for the whole folder.

    Raises BadBatch for a folder of any other shape.
    """
    if not folder.is_dir():
        raise BadBatch("DATA is not a folder", where=str(folder), do=f"Give {_LAYOUTS}.")
    if (folder / "images.csv").is_file() or any((folder / label).is_dir() for label in LABELS):
        return [_handover(folder, folder.name, "auto")]
    halves = [name for name in _HALVES if (folder / name).is_dir()]
    if not halves:
        raise BadBatch("DATA has none of the layouts known", where=str(folder), do=f"Give {_LAYOUTS}.")
    return [_handover(folder / name, f"{folder.name}-{name}", _HALVES[name]) for name in halves]


def phantom_batches(folder: Path) -> list[Handover]:
    """The phantoms' two batches, five files of the first spoiled; they are drawn into ``folder``, once."""
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        drawn = draw_phantoms(
            train_per_label=TRAIN_PER_LABEL, test_per_label=TEST_PER_LABEL, faintest=FAINTEST
        )
        write_phantoms(folder, drawn)
        spoil(folder / "train")
        (folder / ".complete").touch()
    return [_handover(folder / name, f"phantoms-{name}", _HALVES[name], True) for name in ("train", "test")]


def hand_in(
    settings: Settings, store: ObjectStore, handover: Handover, on_progress: Callable[[int, int], None]
) -> bool:
    """Upload one batch, with what a sender may do; False where the bucket holds it already.

    Its id names its content, so a batch of this id is this batch.
    """
    if store.exists(layout.batch_manifest(handover.batch_id)):
        return False
    upload_batch(
        settings, store, handover.folder, handover.batch_id, handover.split, handover.synthetic, on_progress
    )
    return True


def _handover(folder: Path, name: str, split: Split, synthetic: bool = False) -> Handover:
    digest, files = hashlib.sha256(), 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            digest.update(f"{relative.as_posix()}\0{sha256_of_file(path)}\n".encode())
            files += 1
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:60] or "data"
    return Handover(folder, f"{readable}-{digest.hexdigest()[:12]}", split, synthetic, files)
