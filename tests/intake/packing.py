"""Containers as other programs write them: zip and tar files with names that are bytes."""

import io
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from tests.intake.films import write

Files = dict[str, bytes]


def zipped(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Names exactly as given, backslashes too."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            archive.writestr(info, data, method)
    return path


def raw_zip(
    path: Path, files: dict[bytes, bytes], flags: int = 0, extra: dict[bytes, bytes] | None = None
) -> Path:
    """A zip file written field by field; ``extra`` holds a name's extra fields."""
    body, directory = b"", b""
    for name, data in files.items():
        more = (extra or {}).get(name, b"")
        head = struct.pack(
            "<5H3L2H", 20, flags, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), len(more)
        )
        directory += b"PK\1\2\x14\0" + head + struct.pack("<3H2L", 0, 0, 0, 0, len(body)) + name + more
        body += b"PK\3\4" + head + name + more + data
    count = len(files)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


def unicode_path(name: bytes, text: str) -> bytes:
    """The extra field in which Info-ZIP keeps the name as UTF-8."""
    body = b"\1" + struct.pack("<L", zlib.crc32(name)) + text.encode()
    return struct.pack("<2H", 0x7075, len(body)) + body


def tarred(path: Path, files: Files, encoding: str = "utf-8", style: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=style, encoding=encoding) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def foldered(path: Path, files: Files) -> Path:
    return write(path, files)


def in_latin_1(name: str) -> str:
    """A name of a file on disk whose bytes are latin-1."""
    return os.fsdecode(name.encode("latin-1"))
