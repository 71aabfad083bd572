"""Archives: the members of one .zip or .tar object, read by ranges, never unpacked to disk."""

import io
import itertools
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from pneumo_tasks.errors import BadBatch, BadData, ObjectMissing, RetryableError
from pneumo_tasks.intake.names import is_litter
from pneumo_tasks.storage.object_store import ObjectStore

SUFFIXES = (".zip", ".tar")
NOT_SENT = "not sent"
MAX_MEMBERS = 500_000
MAX_DIRECTORY = 32 * 2**20
_ZIP_LOCAL, _SLACK, _READ_AHEAD = 30, 256, 1 << 20


@dataclass(frozen=True)
class Source:
    """Where the bytes of one file are: a whole object, or a range of an archive.

    ``size`` is what the archive claims, ``fault`` why the member must not be read. ``sha256`` and
    ``etag`` are what is known of a whole object before it is read.
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


def list_members(store: ObjectStore, key: str, name: str) -> list[Source]:
    """The files of an archive (its kind is in ``name``) in its order; BadBatch where it cannot be listed.

    A directory of more than MAX_DIRECTORY bytes or MAX_MEMBERS files is refused before it is read.
    """
    file = _ObjectFile(store, key)
    reader = cast("BinaryIO", io.BufferedReader(file, _READ_AHEAD))
    try:
        found = _zip_members(key, reader) if name.endswith(".zip") else _tar_members(key, reader)
        members = list(itertools.islice(found, MAX_MEMBERS + 1))
    except Exception as error:
        if isinstance(error, RetryableError | ObjectMissing):
            raise
        # zipfile and tarfile raise a dozen kinds on hostile bytes.
        found_out = f"{type(error).__name__}: {error}"[:200]
        raise BadBatch(
            "the archive cannot be read", where=key, found=found_out, do="Pack the folder again."
        ) from None
    if len(members) > MAX_MEMBERS:
        raise BadBatch("the archive has too many members", where=key, found=f"limit {MAX_MEMBERS}")
    return _shown(members, file.size)


def _shown(members: list[Source], size: int) -> list[Source]:
    """Without litter; a name that comes twice and a range outside the archive are faults."""
    seen: set[str] = set()
    shown: list[Source] = []
    for member in members:
        if is_litter(member.file):
            continue
        if member.file in seen:
            fault = "a name that the archive holds twice"
            member = replace(member, file=f"{member.file} (again, {len(shown)})", fault=fault)
        elif member.fault is None and (member.offset or 0) + member.length > size:
            member = replace(member, fault="the archive ends before it")
        seen.add(member.file)
        shown.append(member)
    return shown


def _zip_members(key: str, reader: BinaryIO) -> Iterator[Source]:
    with zipfile.ZipFile(reader) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            fault = None
            if info.flag_bits & 1:
                fault = "encrypted"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                fault = f"compression method {info.compress_type}"
            elif (info.external_attr >> 16) & 0o170000 == 0o120000:
                fault = "a link, not a file"
            yield Source(
                info.orig_filename, key, info.header_offset, info.compress_size, info.file_size,
                info.compress_type == zipfile.ZIP_DEFLATED, info.CRC, fault,
            )  # fmt: skip


def _tar_members(key: str, reader: BinaryIO) -> Iterator[Source]:
    with tarfile.open(fileobj=reader, mode="r:") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # else it keeps every member it saw
            if info.isdir():
                continue
            fault = None if info.isreg() and not info.issparse() else "a link or device, not a file"
            name = info.name.removeprefix("./")
            yield Source(name, key, info.offset_data, info.size, info.size, fault=fault)


def read_source(store: ObjectStore, source: Source, max_bytes: int) -> bytes:
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

    def __init__(self, store: ObjectStore, key: str) -> None:
        self.store, self.key, self.at = store, key, 0
        sizes = [listed.size for listed in store.list_objects(key) if listed.key == key]
        if not sizes:
            raise ObjectMissing("no such object", where=key)
        self.size = sizes[0]

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


def label_of(file: str) -> str:
    """The label of a file in labelled folders: the name of the folder it is in."""
    return PurePosixPath(file).parent.name
