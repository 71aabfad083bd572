"""The local disk: a folder that takes no more bytes is named, with the bytes that it has and needs."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pneumo_tasks.errors import DiskUnusable, PneumoError

_REFUSALS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EFBIG", "ENOTDIR", "ENAMETOOLONG")
    if hasattr(errno, name)
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_SMALL = 2**16


@contextmanager
def written_below(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turn what a disk refuses inside the block into DiskUnusable; ``needed`` is what was to be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise refused(folder, error, needed) from error


@contextmanager
def named_disk(*folders: Path) -> Iterator[None]:
    """Turn what a full or read-only disk made fail inside the block, in whatever words, into DiskUnusable.

    ``folders`` are those that the block writes to; libraries seldom say which one it was.
    """
    try:
        yield
    except PneumoError:
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        places = [Path(error.filename).parent] if full and isinstance(error.filename, str) else []  # type: ignore[attr-defined]
        places += [folder for folder in folders if not _takes(folder)]
        places += folders if full else ()
        if not places:
            raise
        raise refused(places[0], error) from error


def _takes(folder: Path) -> bool:
    """Whether a small file still fits; a folder that is not there yet says nothing."""
    if not folder.is_dir():
        return True
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            reserve(file.fileno(), _SMALL)
    except OSError as error:
        return error.errno not in _REFUSALS
    return True


def refused(folder: Path, error: Exception, needed: int = 0) -> DiskUnusable:
    wanted = f", {needed:,} needed" if needed else ""
    number = error.errno if isinstance(error, OSError) else None
    return DiskUnusable(
        "the disk takes no more",
        where=str(folder),
        found=f"{os.strerror(number) if number else str(error)[:200]}: {free_bytes(folder)}{wanted}",
        do="Make room there or make it writable, or name another folder (PNEUMO_CACHE_FOLDER, TMPDIR).",
    )


def make_folder(folder: Path) -> Path:
    """The folder, for this user alone, made where it is not there yet.

    DiskUnusable where it is somebody else's, or a link: in a temporary folder anybody may have made it.
    """
    with written_below(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise DiskUnusable(
            "the folder is somebody else's",
            where=str(folder),
            found="a link"
            if stat.S_ISLNK(found.st_mode)
            else f"owner uid {found.st_uid}, ours {os.getuid()}",
            do="Remove it, or name another one (PNEUMO_CACHE_FOLDER).",
        )
    if found.st_mode & 0o077:
        with suppress(OSError):  # a read-only disk, which nobody else writes either
            folder.chmod(0o700)
    return folder


def open_log(path: Path) -> BinaryIO:
    """A file to write on at its end, for this user alone; one of an earlier time is closed to others."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path.open("ab")


def write_private(path: Path, text: str) -> None:
    """Put a file there in one step, whole, for this user alone, in place of one of an earlier time."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)


def discard(path: Path) -> None:
    """Delete a file that is not needed; where the disk refuses, there was none or it cannot be helped."""
    with suppress(OSError):
        path.unlink()


def allocate(path: Path) -> None:
    """Take the bytes of a file that is as long as it will be: a full disk says so now, not with a signal."""
    size = path.stat().st_size
    with written_below(path.parent, size), path.open("r+b") as file:
        reserve(file.fileno(), max(1, size))


def reserve(file: int, size: int) -> None:
    """Take ``size`` bytes for an open file; nothing happens on a file system that cannot."""
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def free_bytes(folder: Path) -> str:
    """What the disk below ``folder`` has left, in words."""
    for place in (folder, *folder.parents):
        try:
            return f"{shutil.disk_usage(place).free:,} bytes free"
        except OSError:
            continue
    return "its free bytes are unknown"


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below ``folder``, however deep; what another process deletes meanwhile is not there."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(FileNotFoundError):
                yield path, path.lstat()
