"""The local cache: copies of bucket objects on this machine's disk, named by digest, bounded in size."""

import logging
import os
from pathlib import Path

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, check_digest, sha256_of_file

log = logging.getLogger(__name__)


class LocalCache:
    """Files below ``settings.cache_root/features``; the least recently used make room for new ones.

    A file that goes while a task has it open stays readable to that task. The whole folder may be
    deleted at any time.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.cache_root / "features"
        self.limit = int(settings.cache_gigabytes * 2**30)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest}.npy"

    def fetch(self, store: ObjectStore, key: str, digest: str, size: int) -> Path:
        """A local copy of the object whose digest is right; from the bucket where there is none.

        Raises ObjectMissing or CorruptArtefact where the bucket has not got those bytes either.
        """
        path = self.path(digest)
        if not self._is_whole(path, digest):
            self.make_room(size)
            store.download(key, path, digest)
        os.utime(path)
        return path

    def keep(self, part: Path, digest: str) -> Path:
        """Move a finished file of the cache's folder to its name."""
        path = self.path(digest)
        part.replace(path)
        return path

    def make_room(self, size: int) -> None:
        """Delete what was not used for longest until ``size`` more bytes fit below the limit."""
        kept = sorted(
            ((path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("*.npy")),
            key=lambda entry: entry[0],
        )
        total = sum(entry[1] for entry in kept)
        for _, bytes_, path in kept:
            if total + size <= self.limit:
                return
            log.info("cache: %s makes room", path.name)
            path.unlink(missing_ok=True)
            total -= bytes_

    def _is_whole(self, path: Path, digest: str) -> bool:
        if not path.is_file():
            return False
        try:
            check_digest(sha256_of_file(path), digest, str(path))
        except CorruptArtefact as error:
            log.warning("%s; fetched again", error)
            path.unlink(missing_ok=True)
            return False
        return True
