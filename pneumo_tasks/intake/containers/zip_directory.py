"""The directory of a zip file, with names as bytes: one that is no UTF-8 must not cost the whole archive.

Python's own reader decodes every name while it opens the file, and fails as a whole on one of them.
APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pneumo_tasks.errors import BadData

_END, _END_64, _LOCATOR_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_MOST_COMMENT = 65_535
_UTF_8 = 1 << 11
_FULL, _FULL_SHORT = 0xFFFFFFFF, 0xFFFF


@dataclass(frozen=True)
class Member:
    """One entry. ``name`` holds each byte that is no UTF-8 as a surrogate (PEP 383)."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith(("/", "\\"))


def read_directory(file: BinaryIO, most: int) -> Iterator[Member]:
    """The entries in their order; BadData where there is no directory, or one of more than ``most`` bytes."""
    length = file.seek(0, 2)
    tail_at = max(0, length - _END.size - _MOST_COMMENT)
    file.seek(tail_at)
    tail = file.read(length - tail_at)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise BadData("not a zip file", found="no end of a directory")
    count, size, start = _END.unpack_from(tail, at)[4:7]
    end = tail_at + at
    if count == _FULL_SHORT or _FULL in (size, start):
        count, size, start, end = _read_end_64(file, end, (count, size, start))
    if size > most:
        raise BadData("a directory that is too large", found=f"{size} bytes, limit {most}")
    before = end - size - start  # bytes in front of the archive, as self-extracting ones have
    if before < 0:
        raise BadData("a directory outside the zip file")
    file.seek(end - size)
    yield from _entries(file.read(size), count, before)


def _read_end_64(file: BinaryIO, end: int, found: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(entries, bytes, start, end) of a directory of more than 65,535 files or 4 GiB."""
    if end < _LOCATOR_64.size:
        return (*found, end)
    file.seek(end - _LOCATOR_64.size)
    mark, _, _, _ = _LOCATOR_64.unpack(file.read(_LOCATOR_64.size))
    at = end - _LOCATOR_64.size - _END_64.size
    if mark != b"PK\6\7" or at < 0:
        return (*found, end)
    file.seek(at)
    mark, *_, count, size, start = _END_64.unpack(file.read(_END_64.size))
    if mark != b"PK\6\6":
        raise BadData("a damaged directory", found="no end of 64 bits")
    return count, size, start, at


def _entries(data: bytes, count: int, before: int) -> Iterator[Member]:
    at = found = 0
    while at < len(data):
        if len(data) - at < _ENTRY.size or data[at : at + 4] != b"PK\1\2":
            raise BadData("a damaged directory", found=f"after {found} entries")
        (_, _, _, flags, method, _, _, crc, packed, size, name, extra, comment, _, _, mode, offset) = (
            _ENTRY.unpack_from(data, at)
        )
        at += _ENTRY.size
        raw, fields = data[at : at + name], _fields(data[at + name : at + name + extra])
        size, packed, offset = _in_64_bits(fields.get(1, b""), (size, packed, offset))
        at += name + extra + comment
        if at > len(data):
            raise BadData("a damaged directory", found=f"after {found} entries")
        found += 1
        yield Member(_name(raw, flags, fields), method, flags, crc, packed, size, offset + before, mode >> 16)
    if found != count and found % 65_536 != count:
        raise BadData("a damaged directory", found=f"{found} entries, said to be {count}")


def _name(raw: bytes, flags: int, fields: dict[int, bytes]) -> str:
    """UTF-8, also where bit 11 is not set, as Info-ZIP and macOS wrote it; else the field 0x7075 for it."""
    unicode_path = fields.get(0x7075, b"")
    if not flags & _UTF_8 and unicode_path[:1] == b"\1" and len(unicode_path) > 5:
        crc = int.from_bytes(unicode_path[1:5], "little")
        raw = unicode_path[5:] if crc == zlib.crc32(raw) else raw
    return raw.decode("utf-8", "surrogateescape")


def _fields(extra: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        fields.setdefault(kind, extra[4 : 4 + length])
        extra = extra[4 + length :]
    return fields


def _in_64_bits(field: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """The field of 64 bits holds, in order, the values that are full in the entry itself."""
    found = []
    for value in values:
        if value == _FULL and len(field) >= 8:
            value, field = int.from_bytes(field[:8], "little"), field[8:]
        found.append(value)
    size, packed, offset = found
    return size, packed, offset
