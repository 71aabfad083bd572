"""What the first bytes of a file say about it, read without decoding a pixel.

Nothing here trusts a suffix or allocates by a size that a header claims: a 65,000-pixel header
costs as much to read as any other.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pneumo_tasks.errors import BadData

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_MODES = {0: "grey", 2: "rgb", 3: "palette", 4: "grey+alpha", 6: "rgb+alpha"}
_JPEG_MODES = {1: "grey", 3: "rgb", 4: "cmyk"}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LS_FRAME = 0xF7
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
# The elements of group 0008 that a data set may begin with: group length, character set, image type, ...
_FIRST_ELEMENTS = tuple(number.to_bytes(2, "little") for number in (0x0000, 0x0001, 0x0005, 0x0008, 0x0016))
_MAX_SEGMENTS = 4096  # a film has about ten; each one costs every later reader of the header a step

# For the verdict only: what the sender most likely sent instead of an image.
_OTHERS = (
    (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"), (b"\x1f\x8b", "GZIP"), (b"\x7fELF", "program"), (b"MZ", "program"),
    (b"\0\0\0\x0cjP", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"), (b"8BPS", "PSD"),
)  # fmt: skip
_TEXTS = ((b"<svg", "SVG"), (b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<?xml", "XML"))


@dataclass(frozen=True)
class Header:
    """Format and claimed size of an image; ``mode`` is grey, grey+alpha, rgb, rgb+alpha, palette or cmyk.

    ``exif``: a JPEG file has camera data, which may say that the film is turned.
    """

    format: str
    mode: str
    bits: int
    width: int
    height: int
    exif: bool = False


def sniff(data: bytes) -> str:
    """Name the format by content: JPEG, PNG, DICOM, a few others, ``empty`` or ``unknown``."""
    if not data:
        return "empty"
    if data.startswith(_JPEG):
        return "JPEG"
    if data.startswith(_PNG):
        return "PNG"
    if data[128:132] == b"DICM" or is_bare_dicom(data):
        return "DICOM"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    found = next((name for magic, name in _OTHERS if data.startswith(magic)), None)
    opening = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return found or next((name for start, name in _TEXTS if start in opening), "unknown")


def is_bare_dicom(data: bytes) -> bool:
    """A DICOM file that begins with its first element: the 128 bytes and the mark in front are missing."""
    if data.startswith(b"\x02\0\0\0UL\x04\0"):
        return True
    group, element, length = data[:2], data[2:4], int.from_bytes(data[4:8], "little")
    explicit = data[4:6] in (b"UL", b"CS", b"UI", b"DA", b"TM")
    return group == b"\x08\0" and element in _FIRST_ELEMENTS and (explicit or 0 < length <= 64)


def read_header(data: bytes) -> Header:
    """Read the header of a JPEG or PNG file; BadData where there is none or it is damaged."""
    kind = sniff(data)
    if kind == "JPEG":
        return _read_jpeg(data)
    if kind == "PNG":
        return _read_png(data)
    raise BadData("not a JPEG or PNG image", found=f"looks like: {kind}", do="Export the film again.")


def _read_png(data: bytes) -> Header:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise BadData("a PNG file without its header", do="Export the film again.")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    if colour not in _PNG_MODES or not width or not height:
        raise BadData("a PNG file with an impossible header", found=f"{width}x{height}, colour type {colour}")
    return Header("PNG", _PNG_MODES[colour], bits, width, height)


def read_frame_header(frame: bytes) -> Header:
    """Read the header of a JPEG frame inside a DICOM file, which may also be of JPEG-LS."""
    return _read_jpeg(frame, _JPEG_FRAMES | {_JPEG_LS_FRAME})


def _read_jpeg(data: bytes, frames: frozenset[int] = _JPEG_FRAMES) -> Header:
    """Walk the segments up to the first scan; two frame headers, as in polyglots, are none."""
    found: Header | None = None
    exif = False
    for marker, at in _segments(data):
        exif = exif or (marker == 0xE1 and data[at + 4 : at + 9] == b"Exif\0")
        if marker in frames:
            bits, height, width, components = struct.unpack(">BHHB", data[at + 4 : at + 10])
            if found or components not in _JPEG_MODES or not width or not height:
                break
            found = Header("JPEG", _JPEG_MODES[components], bits, width, height)
        elif marker == 0xDA and found:
            return replace(found, exif=exif)
    raise BadData("a JPEG file without a usable header", found=f"{len(data)} bytes", do="Export it again.")


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker with its place, at most _MAX_SEGMENTS of them, up to the first scan or a fault."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if at + 9 >= len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF or marker in _JPEG_BARE:
            at += 1 if marker == 0xFF else 2
            continue
        yield marker, at
        if marker == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
