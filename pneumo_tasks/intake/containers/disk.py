"""The sender's own disk, read in the way in which a bucket is read: a key is the path of a file."""

from collections.abc import Iterator
from pathlib import Path

from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.storage.object_store import Listed


class Disk:
    """Files of this machine; BadData where one cannot be read, ObjectMissing where it is gone."""

    def read(self, key: str) -> bytes:
        return self.read_range(key, 0, -1)

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``, fewer at the end; all that follow where ``length`` is negative."""
        try:
            with Path(key).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            raise ObjectMissing("no such file", where=key) from None
        except OSError as error:
            raise BadData("a file that cannot be read", found=str(error.strerror)) from None

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """The file itself, with its size."""
        path = Path(prefix)
        if path.is_file():
            yield Listed(prefix, path.stat().st_size)
