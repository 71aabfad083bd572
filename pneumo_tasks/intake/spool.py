"""The spool: films that arrive one by one lie on this disk until the batch of their study day is sent."""

import fcntl
import os
import shutil
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

from pneumo_tasks.errors import BadConfiguration, DiskUnusable
from pneumo_tasks.storage.digests import sha256
from pneumo_tasks.storage.local_disk import discard, make_folder, written_below

UNDATED = "undated"


class Spool:
    """``open/<day>/`` takes films; ``closed/<day>-<moment>/`` takes none any more, and is one batch.

    A film that ``keep`` returned from is on the disk, whatever happens to this process afterwards. One
    process uses a folder: BadConfiguration where another does.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._changing = threading.Lock()  # a film must not move into a day that is being closed
        for name in ("arriving", "open", "closed"):
            make_folder(folder / name)
        self._held = (folder / "lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadConfiguration(
                "another `pneumo receive` uses this folder", where=str(folder),
                do="Stop it, or name another folder: PNEUMO_RECEIVE_FOLDER.",
            ) from None  # fmt: skip
        for part in (folder / "arriving").iterdir():
            _remove(part)  # nobody was told that it is here, or all of it was sent
        self._bytes = sum(path.stat().st_size for path in folder.rglob("*.dcm"))

    def keep(self, day: str, film: bytes) -> None:
        """Write a film and wait for the disk; the same film twice is one. DiskUnusable where it is full."""
        part = self.folder / "arriving" / uuid.uuid4().hex
        with self._changing:
            if self._bytes + len(film) > self.most_bytes:
                raise DiskUnusable(
                    "the films that wait are too many", where=str(self.folder),
                    found=f"{self._bytes:,} bytes, limit {self.most_bytes:,}",
                    do="Look why batches are not sent, or raise PNEUMO_RECEIVE_GIGABYTES.",
                )  # fmt: skip
            self._bytes += len(film)
        try:
            self._write(part, self.folder / "open" / (day or UNDATED), film)
        except BaseException:
            discard(part)
            with self._changing:
                self._bytes -= len(film)
            raise

    def close_quiet(self, seconds: float) -> None:
        """Close each day that took no film for so long."""
        with self._changing:
            for day in sorted((self.folder / "open").iterdir()):
                moment = datetime.now(UTC)
                if moment.timestamp() - day.stat().st_mtime >= seconds:
                    day.rename(self.folder / "closed" / f"{day.name}-{moment:%Y%m%dT%H%M%S%f}")

    def closed(self) -> list[Path]:
        """The folders that are to be sent, in the order of their days."""
        return sorted((self.folder / "closed").iterdir())

    def forget(self, sent: Path) -> None:
        """Delete a closed folder, whose batch is complete in the bucket."""
        size = sum(film.stat().st_size for film in sent.iterdir())
        leaving = sent.rename(self.folder / "arriving" / sent.name)  # or half of it could become a batch
        _remove(leaving)
        with self._changing:
            self._bytes -= size

    def stop(self) -> None:
        self._held.close()

    def _write(self, part: Path, day: Path, film: bytes) -> None:
        with written_below(self.folder, len(film)):
            with part.open("xb") as file:
                file.write(film)
                file.flush()
                os.fsync(file.fileno())
            with self._changing:
                day.mkdir(mode=0o700, exist_ok=True)
                place = day / f"{sha256(film)}.dcm"
                if place.exists():
                    self._bytes -= len(film)
                part.replace(place)
                _settle(day)
                _settle(day.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        discard(path)


def _settle(folder: Path) -> None:
    """A name is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
