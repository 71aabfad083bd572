"""The local cache: copies of bucket objects on this machine's disk, named by digest, bounded in size."""

import contextlib
import hashlib
import logging
import os
import time
import uuid
from pathlib import Path
from typing import BinaryIO

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import discard, make_folder, written_below
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

_LEFT_OVER = 24 * 3600.0  # seconds: an unfinished file that nobody wrote to for so long has lost its writer


class LocalCache:
    """Files below ``settings.cache_root/features``; the least recently used make room for new ones.

    Several processes may share the folder: what one of them has open stays readable to it, whoever
    deletes it. The whole folder may be deleted at any time.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.cache_root / "features"
        self.limit = int(settings.cache_gigabytes * 2**30)
        make_folder(self.folder)

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest}.npy"

    def open(self, store: ObjectStore, key: str, digest: str, size: int) -> BinaryIO:
        """A local copy of the object, open and checked to its last byte; from the bucket where none is.

        Raises ObjectMissing or CorruptArtefact where the bucket has not got those bytes either,
        DiskUnusable where this disk does not take them.
        """
        path, part = self.path(digest), self.folder / f"{uuid.uuid4().hex}.part"
        with written_below(self.folder, size):
            if (kept := self._opened(path, digest)) is not None:
                return kept
            self.make_room(size)
            try:
                store.download(key, part, digest)
                file = part.open("rb")  # before it has its name: from then on others may delete it
                part.replace(path)
            finally:
                discard(part)
            return file

    def keep(self, part: Path, digest: str) -> Path:
        """Move a finished file of the cache's folder to its name."""
        path = self.path(digest)
        part.replace(path)
        return path

    def make_room(self, size: int) -> None:
        """Delete what was not used for longest until ``size`` more bytes fit below the limit."""
        self._sweep()
        kept = sorted(self._files("*.npy"), key=lambda entry: entry[0])
        total = sum(entry[1] for entry in (*kept, *self._files("*.part*")))
        for _, bytes_, path in kept:
            if total + size <= self.limit:
                return
            log.info("cache: %s makes room", path.name)
            discard(path)
            total -= bytes_

    def _sweep(self) -> None:
        """Delete what a killed process left unfinished."""
        for modified, _, path in self._files("*.part*"):
            if time.time() - modified > _LEFT_OVER:
                log.warning("cache: %s was left unfinished", path.name)
                discard(path)

    def _files(self, pattern: str) -> list[tuple[float, int, Path]]:
        """When each was last used, its bytes, and its path; what goes meanwhile is not there."""
        found = []
        for path in self.folder.glob(pattern):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            found.append((facts.st_mtime, facts.st_size, path))
        return found

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
