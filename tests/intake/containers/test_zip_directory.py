"""The directory of a zip file, read as Python's own reader reads it, where that one reads it."""

import io
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_tasks.errors import BadData
from pneumo_tasks.intake.containers.zip_directory import Member, read_directory

MOST = 32 * 2**20


def members(data: bytes, most: int = MOST) -> list[Member]:
    return list(read_directory(io.BytesIO(data), most))


@settings(max_examples=60)
@given(
    files=st.dictionaries(st.text("aü/. \u4e00", min_size=1, max_size=9), st.binary(max_size=40), max_size=5),
    comment=st.binary(max_size=30),
    before=st.binary(max_size=30),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_it_is_what_python_reads(files: dict[str, bytes], comment: bytes, before: bytes, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment.replace(b"PK", b"")
    data = before + buffer.getvalue()
    theirs = zipfile.ZipFile(io.BytesIO(data)).infolist()
    assert [(m.name, m.method, m.crc, m.packed, m.size, m.offset) for m in members(data)] == [
        (i.orig_filename, i.compress_type, i.CRC, i.compress_size, i.file_size, i.header_offset)
        for i in theirs
    ]


def test_more_than_65535_files_are_listed() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(65_600):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    assert [member.name for member in members(buffer.getvalue())][-1] == "65599"


def test_sizes_of_64_bits_are_read_from_their_field() -> None:
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", *(0,) * 6, 7, *(0xFFFFFFFF,) * 2, 1, 28, *(0,) * 4, 0xFFFFFFFF
    )
    entry += b"x" + struct.pack("<2H3Q", 1, 24, 5 * 2**32, 4 * 2**32, 0)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), 0, 0)
    (member,) = members(entry + end)
    assert (member.size, member.packed, member.offset) == (5 * 2**32, 4 * 2**32, 0)


@pytest.mark.parametrize("place", [0, 10, 40, 60])
def test_a_directory_with_damage_is_refused(place: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a", "b", "c"):
            archive.writestr(name, b"x")
    data = bytearray(buffer.getvalue())
    at = data.find(b"PK\1\2")
    del data[at + place : at + place + 3]
    with pytest.raises(BadData):
        members(bytes(data))


def test_a_directory_beyond_its_limit_is_refused_before_it_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a" * 500, b"x")
    with pytest.raises(BadData, match="limit 400"):
        members(buffer.getvalue(), most=400)
