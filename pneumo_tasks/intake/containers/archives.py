"""Archives: the members of one .zip or .tar object, read by ranges, never unpacked to disk."""

import io
import itertools
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol, cast

from pneumo_tasks.errors import BadBatch, BadData, ObjectMissing, RetryableError
from pneumo_tasks.intake.containers.zip_directory import read_directory
from pneumo_tasks.storage.object_store import Listed

SUFFIXES = (".zip", ".tar")
NOT_SENT = "not sent"
MAX_MEMBERS = 500_000
MAX_DIRECTORY = 32 * 2**20
_ZIP_LOCAL, _SLACK, _READ_AHEAD = 30, 256, 1 << 20
_STORED, _DEFLATED = 0, 8
_LINK = 0o120000


class Files(Protocol):
    """Where bytes are read: a bucket, or the sender's disk."""

    def read(self, key: str) -> bytes: ...

    def read_range(self, key: str, start: int, length: int) -> bytes: ...

    def list_objects(self, prefix: str) -> Iterator[Listed]: ...


@dataclass(frozen=True)
class Source:
    """Where the bytes of one file are: a whole object, or a range of an archive.

    ``file`` is the name as its container spells it, until it is arranged. ``size`` is what the archive
    claims, ``fault`` why the member must not be read. ``sha256`` and ``etag`` are what is known of a whole
    object before it is read.
    """

    file: str
    key: str
    offset: int | None = None
    length: int = 0
    size: int = 0
    deflated: bool = False
    crc: int | None = None
    fault: str | None = None
    sha256: str = ""
    etag: str = ""


def list_members(files: Files, key: str, name: str) -> list[Source]:
    """The files of an archive (its kind is in ``name``) in its order; BadBatch where it cannot be listed.

    A directory of more than MAX_DIRECTORY bytes or MAX_MEMBERS files is refused before it is read.
    """
    sizes = [listed.size for listed in files.list_objects(key) if listed.key == key]
    if not sizes:
        raise ObjectMissing("no such object", where=key)
    file = _ObjectFile(files, key, sizes[0])
    reader = cast("BinaryIO", io.BufferedReader(file, _READ_AHEAD))
    try:
        found = _zip_members(key, reader) if name.endswith(".zip") else _tar_members(key, reader)
        members = list(itertools.islice(found, MAX_MEMBERS + 1))
    except Exception as error:
        if isinstance(error, RetryableError | ObjectMissing):
            raise
        # tarfile raises a dozen kinds on hostile bytes.
        found_out = str(error) if isinstance(error, BadData) else f"{type(error).__name__}: {error}"
        raise BadBatch(
            "the archive cannot be read", where=name, found=found_out[:200], do="Pack the folder again."
        ) from None
    if len(members) > MAX_MEMBERS:
        raise BadBatch("the archive has too many members", where=name, found=f"limit {MAX_MEMBERS}")
    return [_inside(member, file.size) for member in members]


def _inside(member: Source, size: int) -> Source:
    """A range outside the archive is a fault."""
    if member.fault is None and (member.offset or 0) + member.length > size:
        return replace(member, fault="the archive ends before it")
    return member


def _zip_members(key: str, reader: BinaryIO) -> Iterator[Source]:
    for entry in read_directory(reader, MAX_DIRECTORY):
        if entry.is_folder:
            continue
        fault = None
        if entry.flags & 1:
            fault = "encrypted"
        elif entry.method not in (_STORED, _DEFLATED):
            fault = f"compression method {entry.method}"
        elif entry.mode & 0o170000 == _LINK:
            fault = "a link, not a file"
        deflated = entry.method == _DEFLATED
        yield Source(entry.name, key, entry.offset, entry.packed, entry.size, deflated, entry.crc, fault)


def _tar_members(key: str, reader: BinaryIO) -> Iterator[Source]:
    with tarfile.open(fileobj=reader, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # else it keeps every member it saw
            if info.isdir():
                continue
            fault = None if info.isreg() and not info.issparse() else "a link or device, not a file"
            yield Source(info.name, key, info.offset_data, info.size, info.size, fault=fault)
        reader.seek(archive.offset)
        end = reader.read(tarfile.BLOCKSIZE)
        if end.strip(b"\0"):  # tarfile takes a damaged header for the end
            raise BadData("a damaged header", found=f"at byte {archive.offset}")
        if len(end) < tarfile.BLOCKSIZE:
            raise BadData("cut short: its end is missing", found=f"at byte {archive.offset}")


def read_source(store: Files, source: Source, max_bytes: int) -> bytes:
    """The bytes of one file, at most ``max_bytes`` + 1 of them, whatever the archive claims.

    ObjectMissing where the object is gone; BadData where the member is damaged.
    """
    if source.offset is None:
        return store.read(source.key)
    if source.crc is None and source.length > max_bytes:
        return store.read_range(source.key, source.offset, max_bytes + 1)
    if source.crc is None:
        return store.read_range(source.key, source.offset, source.length)
    # The local header repeats the name and adds fields of its own, nearly always a few bytes: one
    # request for all of it, a second one for what is missing.
    wanted = min(source.length, max_bytes + 1)
    body = store.read_range(source.key, source.offset, _ZIP_LOCAL + len(source.file) + _SLACK + wanted)
    start = _ZIP_LOCAL + int.from_bytes(body[26:28], "little") + int.from_bytes(body[28:30], "little")
    packed = body[start : start + wanted]
    if len(packed) < wanted:
        at = source.offset + start + len(packed)
        packed += store.read_range(source.key, at, wanted - len(packed))
    try:
        data = zlib.decompressobj(-15).decompress(packed, max_bytes + 1) if source.deflated else packed
    except zlib.error as error:
        raise BadData("a damaged member of the archive", found=str(error)) from None
    if len(data) <= max_bytes and (len(data) != source.size or zlib.crc32(data) != source.crc):
        raise BadData("a damaged member of the archive", found="its checksum or size differs")
    return data


class _ObjectFile(io.RawIOBase):
    """An object as a seekable file; each read is one ranged request."""

    def __init__(self, store: Files, key: str, size: int) -> None:
        self.store, self.key, self.size, self.at = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        if self.at < 0:
            raise OSError("seek before the start of the archive")
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if len(buffer) > MAX_DIRECTORY:
            raise OSError(f"a directory or header of {len(buffer)} bytes, limit {MAX_DIRECTORY}")
        wanted = min(len(buffer), self.size - self.at)
        if wanted <= 0:
            return 0
        data = self.store.read_range(self.key, self.at, wanted)
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)
