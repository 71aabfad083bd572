"""The local disk: a folder that takes no more bytes is named, with the bytes that it has and needs."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pneumo_tasks.errors import DiskUnusable

_REFUSALS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EFBIG", "ENOTDIR", "ENAMETOOLONG")
    if hasattr(errno, name)
}


@contextmanager
def written_below(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turn what a disk refuses inside the block into DiskUnusable; ``needed`` is what was to be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise refused(folder, error, needed) from error


def refused(folder: Path, error: OSError, needed: int = 0) -> DiskUnusable:
    wanted = f", {needed:,} needed" if needed else ""
    return DiskUnusable(
        "the disk takes no more",
        where=str(folder),
        found=f"{os.strerror(error.errno or 0)}: {_free(folder)}{wanted}",
        do="Make room there or make it writable, or name another folder (PNEUMO_CACHE_FOLDER, TMPDIR).",
    )


def make_folder(folder: Path) -> Path:
    """The folder, for this user alone, made where it is not there yet."""
    with written_below(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def discard(path: Path) -> None:
    """Delete a file that is not needed; where the disk refuses, there was none or it cannot be helped."""
    with suppress(OSError):
        path.unlink()


def allocate(path: Path) -> None:
    """Take the bytes of a file that is as long as it will be: a full disk says so now, not with a signal."""
    size = path.stat().st_size
    with written_below(path.parent, size), path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise


def _free(folder: Path) -> str:
    for place in (folder, *folder.parents):
        try:
            return f"{shutil.disk_usage(place).free:,} bytes free"
        except OSError:
            continue
    return "its free bytes are unknown"
