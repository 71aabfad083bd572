"""Folders: which files of one are sent, and whether it is an archive that was meant."""

from collections.abc import Iterator
from pathlib import Path

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.containers.archives import SUFFIXES
from pneumo_tasks.intake.containers.names import is_litter


def archive_in(path: Path) -> Path | None:
    """The archive that ``path`` is, or that is alone in it; None for any other folder.

    BadBatch where it is neither a folder nor an archive.
    """
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return path
    if not path.is_dir():
        raise BadBatch(
            "not a folder or archive", where=str(path), do="Give a folder of images, a .zip or a .tar."
        )
    files = [file for _, file in zip(range(2), files_below(path), strict=False)]
    return files[0] if len(files) == 1 and files[0].suffix.lower() in SUFFIXES else None


def files_below(folder: Path) -> Iterator[Path]:
    """Every file but hidden ones and what file managers leave behind.

    BadBatch where a link leads out of the folder: who packed it may mean a file of this machine.
    """
    top = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_file() and not is_litter(path.relative_to(folder).as_posix()):
            if not path.resolve().is_relative_to(top):
                raise BadBatch(
                    "a link leads out of the folder",
                    where=str(path.relative_to(folder)),
                    do="Put the file itself there, or remove the link.",
                )
            yield path
