"""What is sent of a folder: which files, and the manifest of folders that are named by label."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.names import is_litter

_HEADER = ("path", "label", "patient_id")


def choose_folder(folder: Path, split: str) -> Path:
    """The folder itself, or the half of the public layout ({train,test}/<label>/) that ``split`` names."""
    if not folder.is_dir():
        raise BadBatch(
            "not a folder or archive", where=str(folder), do="Give a folder of images, a .zip or a .tar."
        )
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


def files_below(folder: Path) -> Iterator[Path]:
    """Every file but hidden ones and what file managers leave behind."""
    for path in folder.rglob("*"):
        if path.is_file() and not is_litter(path.relative_to(folder).as_posix()):
            yield path


def manifest_of(folder: Path, images: list[Path]) -> bytes:
    """images.csv of labelled folders: the folder's name is the label, as it is."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for path in images:
        relative = path.relative_to(folder)
        writer.writerow([relative.as_posix(), relative.parent.name, ""])
    return text.getvalue().encode("utf-8", "surrogateescape")
