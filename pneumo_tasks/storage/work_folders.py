"""Work folders: what a process writes for a moment goes with it, also where it is killed.

A process holds a lock on each folder that it works in, and a lock ends with its process, on every way that
there is. Whoever makes the next folder deletes those beside it that nobody holds any more.
"""

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from pneumo_tasks.errors import DiskUnusable
from pneumo_tasks.storage.local_disk import discard, files_below, written_below

log = logging.getLogger(__name__)

PREFIX = "pneumo-work-"
_LAST = -1000
_SOCKET = len("//pymp-12345678/listener-12345678")
_LONGEST_SOCKET = 103  # bytes, on every system
_LETTERS = 8  # that tempfile draws; a folder whose name goes on differently is somebody else's

_own: dict[int, Path] = {}  # by process: a child that was forked takes one of its own


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A folder below ``parent`` for what the block writes; gone afterwards, or with the next one made there.

    DiskUnusable where the disk does not take it.
    """
    folder, lock = _taken(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def take_temporary_folder() -> Path:
    """From now on temporary files of this process and its children lie in one work folder below TMPDIR.

    It holds what no block of ours makes, too: the sockets of decoders, the files of TensorFlow. Called again
    it changes nothing, nor where TMPDIR is so long that no socket fits below a work folder.
    """
    if os.getpid() not in _own:
        shared = shared_temporary_folder()
        if len(os.fsencode(shared)) + len(PREFIX) + _LETTERS + _SOCKET > _LONGEST_SOCKET:
            return shared
        folder, _ = _taken(shared)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        _own[os.getpid()] = folder
        atexit.register(_leave, folder)
        # Behind what multiprocessing deletes itself, and complains about where it is gone.
        Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=_LAST)
    return _own[os.getpid()]


def _leave(folder: Path) -> None:
    """Delete what lies in a process's own folder, but for what multiprocessing will delete."""
    for path in folder.glob("*"):
        if path.is_dir() and not path.name.startswith("pymp-"):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            discard(path)
    with suppress(OSError):
        folder.rmdir()


def shared_temporary_folder() -> Path:
    """The temporary folder of this machine, whether or not this process works in one of its own below it."""
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise DiskUnusable(
            "no temporary folder takes a file", found=str(error), do="Make room, or name another by TMPDIR."
        ) from None
    while folder.name.startswith(PREFIX):
        folder = folder.parent
    return folder


@dataclass(frozen=True)
class LeftOver:
    """Folders of processes that are gone, and the bytes that lie in them."""

    folders: int
    bytes: int


def left_over(parent: Path) -> LeftOver:
    """What the next work folder below ``parent`` will make room of; nothing is deleted."""
    found = [sum(facts.st_size for _, facts in files_below(folder)) for folder in _abandoned(parent)]
    return LeftOver(len(found), sum(found))


def sweep(parent: Path) -> None:
    """Delete the work folders below ``parent`` whose processes are gone."""
    for folder in _abandoned(parent):
        log.info("%s was left by a process that is gone, and is deleted", folder)
        shutil.rmtree(folder, ignore_errors=True)


def _taken(parent: Path) -> tuple[Path, int]:
    """A new folder, and the open lock on it."""
    sweep(parent)
    while True:
        with written_below(parent):
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        # Somebody who sweeps just now may have it, or have deleted it.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            if _locked(lock) is not False and folder.exists():
                return folder, lock
            os.close(lock)


def _abandoned(parent: Path) -> Iterator[Path]:
    """The folders of this user below ``parent`` that nobody holds; each is held while it is looked at."""
    for folder in parent.glob(f"{PREFIX}{'?' * _LETTERS}"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid() and _locked(lock):
                    yield folder
            finally:
                os.close(lock)


def _locked(lock: int) -> bool | None:
    """Whether the lock was free and is ours now; None on a file system that knows no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
