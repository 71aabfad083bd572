"""The local cache: copies of bucket objects on this machine's disk, named by digest, bounded in size."""

import contextlib
import hashlib
import logging
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import discard, files_below, make_folder, written_below
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.work_folders import PREFIX, sweep, work_folder

log = logging.getLogger(__name__)


class LocalCache:
    """Files below ``settings.cache_root/features``; the least recently used make room for new ones.

    Several processes may share the folder: what one of them has open stays readable to it, whoever
    deletes it. The whole folder may be deleted at any time.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.cache_root / "features"
        self.limit = int(settings.cache_gigabytes * 2**30)
        if settings.cache_folder is None:
            make_folder(settings.cache_root)
        sweep(make_folder(self.folder))

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest}.npy"

    def open(self, store: ObjectStore, key: str, digest: str, size: int) -> BinaryIO:
        """A local copy of the object, open and checked to its last byte; from the bucket where none is.

        Raises ObjectMissing or CorruptArtefact where the bucket has not got those bytes either,
        DiskUnusable where this disk does not take them.
        """
        path = self.path(digest)
        with written_below(self.folder, size):
            if (kept := self._opened(path, digest)) is not None:
                return kept
            with self.unfinished() as folder:
                self.make_room(size)
                store.download(key, part := folder / "array", digest)
                file = part.open("rb")  # before it has its name: from then on others may delete it
                part.replace(path)
            return file

    def unfinished(self) -> AbstractContextManager[Path]:
        """A folder for files that are not whole yet; what a killed process left in one goes."""
        return work_folder(self.folder)

    def keep(self, part: Path, digest: str) -> Path:
        """Move a finished file to its name."""
        path = self.path(digest)
        part.replace(path)
        return path

    def make_room(self, size: int) -> None:
        """Delete what was not used for longest until ``size`` more bytes fit below the limit."""
        files = list(files_below(self.folder))
        kept = sorted(
            (facts.st_mtime, facts.st_size, path) for path, facts in files
            if path.parent == self.folder and path.suffix == ".npy"
        )  # fmt: skip
        unfinished = sum(facts.st_size for path, facts in files if path.parent.name.startswith(PREFIX))
        total = unfinished + sum(bytes_ for _, bytes_, _ in kept)
        for _, bytes_, path in kept:
            if total + size <= self.limit:
                return
            log.info("cache: %s makes room", path.name)
            discard(path)
            total -= bytes_

    def _opened(self, path: Path, digest: str) -> BinaryIO | None:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == digest:
            file.seek(0)
            with contextlib.suppress(OSError):  # a read-only disk: its copies are good all the same
                os.utime(file.fileno())
            return file
        file.close()
        log.warning("cache: %s holds other bytes (sha256 %s); fetched again", path, found)
        discard(path)
        return None
