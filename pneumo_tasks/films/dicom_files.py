"""A DICOM file cut down to what one film needs, in bounded time and memory, before it is decoded.

pydicom parses whatever a file holds: millions of elements, data sets that inflate a thousandfold,
frames larger than the header says. Here the header is read from the first bytes alone, and the
pixel data are cut out and compared with it.
"""

import importlib.util
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pneumo_tasks.errors import BadData, PneumoError
from pneumo_tasks.films.image_headers import Header, read_frame_header, sniff
from pneumo_tasks.films.rle import check_rle

MAX_HEADER = 2 * 2**20
_MAX_FRAGMENTS = 65_536  # their bytes are limited by the file's; each one costs the reader a step
_PREAMBLE = bytes(128) + b"DICM"
_DEFLATED = b"\x02\0\x10\0UI\x16\x001.2.840.10008.1.2.1.99"
_INFLATED = b"\x02\0\x10\0UI\x16\x001.2.840.10008.1.2.1\0\0\0"
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
RLE = "1.2.840.10008.1.2.5"
# How pixels may be compressed, and the module that decodes them where Pillow and pydicom do not.
_COMPRESSIONS = {
    "1.2.840.10008.1.2.4.50": "", "1.2.840.10008.1.2.4.51": "gdcm", "1.2.840.10008.1.2.4.57": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm", "1.2.840.10008.1.2.4.80": "jpeg_ls",
    "1.2.840.10008.1.2.4.81": "jpeg_ls", "1.2.840.10008.1.2.4.90": "", "1.2.840.10008.1.2.4.91": "", RLE: "",
}  # fmt: skip
EXTENDED = "1.2.840.10008.1.2.4.51"
NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
READABLE = (*NATIVE, *_COMPRESSIONS)  # every transfer syntax whose pixels are decoded
_PRECISIONS = {"1.2.840.10008.1.2.4.50": (8,), EXTENDED: (8, 12)}  # ISO 10918-1, B.2.2
_PACKAGES = {"gdcm": "python-gdcm", "jpeg_ls": "pyjpegls"}


@dataclass(frozen=True)
class DicomFile:
    """``dataset`` is everything before the pixels; ``data`` the file without what follows them.

    ``frame`` are the compressed pixels, None where they are stored as they are.
    """

    header: Header
    dataset: Any
    data: bytes
    frame: bytes | None = None

    @property
    def compressed(self) -> bool:
        return self.frame is not None


def open_dicom(data: bytes, max_bytes: int = 100 * 2**20) -> DicomFile:
    """Read the header of a film and find its pixels; decodes nothing. A deflated file may not inflate
    to more than ``max_bytes`` bytes.

    BadData where the file is damaged, no single film, or of a kind that is not decoded here. No
    message holds a value of the file: it might be a name.
    """
    data = _inflated(_with_preamble(data), max_bytes)
    head = data[:MAX_HEADER]
    with refusing("a damaged DICOM file"):
        dataset, at = _read_head(head)
        header = _header(dataset)
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax is None:
            raise BadData("a DICOM file without a transfer syntax", do="Export the film again.")
        if not syntax.is_compressed:
            return DicomFile(header, dataset, data[: _native_end(data, at, dataset, header)])
        _check_decoder(syntax, int(dataset.BitsAllocated))
        frame, end = _encapsulated(data, at + 12)
        if syntax == RLE:
            check_rle(
                frame, header.width * header.height, int(dataset.BitsAllocated) // 8 * _samples(dataset)
            )
        else:
            _check_frame(frame, header, _PRECISIONS.get(syntax))
    return DicomFile(header, dataset, data[:end], frame)


def read_tags(data: bytes, max_bytes: int = 100 * 2**20) -> Any:
    """The elements before the pixels, also of a file that is no single film; BadData where damaged."""
    with refusing("a damaged DICOM file"):
        return _read_head(_inflated(_with_preamble(data), max_bytes)[:MAX_HEADER])[0]


def _with_preamble(data: bytes) -> bytes:
    """The file with the 132 bytes in front that some archives leave out, and with its syntax."""
    if data[128:132] == b"DICM":
        return data
    if data.startswith(b"\x02\0"):
        return _PREAMBLE + data
    uid = b"1.2.840.10008.1.2.1\0" if data[4:6].isalpha() else b"1.2.840.10008.1.2\0"
    syntax = b"\x02\0\x10\0UI" + len(uid).to_bytes(2, "little") + uid
    return _PREAMBLE + b"\x02\0\0\0UL\x04\0" + len(syntax).to_bytes(4, "little") + syntax + data


def _inflated(data: bytes, max_bytes: int) -> bytes:
    """A deflated data set (PS3.5 A.5) as a plain one; never more than ``max_bytes`` of it are inflated."""
    at = data.find(_DEFLATED, 132, 132 + 4096)
    if at < 0:
        return data
    start = 144 + int.from_bytes(data[140:144], "little")  # the length of the file's meta information
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        body = inflater.decompress(data[start:], max_bytes + 1)
    except zlib.error as error:
        raise BadData("a damaged deflated DICOM file", found=str(error), do="Send the file again.") from None
    if len(body) > max_bytes:
        raise BadData("a deflated DICOM file of too many bytes", found=f"limit {max_bytes}")
    return data[:at] + _INFLATED + data[at + len(_DEFLATED) : start] + body


def _check_decoder(syntax: Any, allocated: int) -> None:
    """Refuse a compression that is not decoded, or not here: then the message names the package."""
    if syntax not in _COMPRESSIONS:
        raise _refused(f"pixels compressed as {syntax.name if not syntax.is_private else 'private'}")
    module = _COMPRESSIONS[syntax]
    if not module or (module == "gdcm" and syntax == EXTENDED and allocated == 8):
        return
    if importlib.util.find_spec(module) is None:
        raise BadData(
            f"pixels compressed as {syntax.name}",
            found=f"the package {_PACKAGES[module]} is not installed",
            do=f"Install it where batches are validated: pip install {_PACKAGES[module]}.",
        )


def _read_head(head: bytes) -> tuple[Any, int]:
    """Every element before the pixels, and where the element of the pixels begins."""
    from pydicom.filereader import read_partial

    file, last = io.BytesIO(head), 0

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        nonlocal last
        last = int(tag)
        return last >= 0x7FE00008

    dataset = read_partial(file, at_pixels)
    if last not in (0x7FE00010, 0x7FE00009, 0x7FE00008):
        raise BadData("no pixels", found=f"in the first {len(head)} bytes", do="Export the film again.")
    return dataset, file.tell()


def _header(dataset: Any) -> Header:
    frames, samples = int(dataset.get("NumberOfFrames") or 1), _samples(dataset)
    width, height = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
    if frames != 1 or not width or not height:
        raise BadData("not a single film", found=f"{frames} frames of {width}x{height}")
    stored, allocated = int(dataset.get("BitsStored") or 0), int(dataset.get("BitsAllocated") or 0)
    if not 1 <= stored <= allocated or allocated not in (8, 16):
        raise BadData("pixels of an unusual width", found=f"{stored} of {allocated} bits, limit 16")
    grey = samples == 1 and str(dataset.get("PhotometricInterpretation")).startswith("MONOCHROME")
    return Header("DICOM", "grey" if grey else "rgb", stored, width, height)


def _samples(dataset: Any) -> int:
    return int(dataset.get("SamplesPerPixel") or 1)


def _native_end(data: bytes, at: int, dataset: Any, header: Header) -> int:
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    start = at + (8 if implicit else 12)
    length = int(struct.unpack(f"{order}I", data[start - 4 : start])[0])
    needed = header.width * header.height * int(dataset.BitsAllocated) // 8
    needed *= _samples(dataset)
    if not needed <= length <= needed + max(64, needed // 32) or start + needed > len(data):
        raise BadData("pixels missing or too many", found=f"{length} bytes for {needed}")
    return start + length


def _encapsulated(data: bytes, at: int) -> tuple[bytes, int]:
    """The one frame, its fragments joined, and where the pixel data end (PS3.5 A.4)."""
    fragments: list[bytes] = []
    for _ in range(_MAX_FRAGMENTS):
        tag, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if tag == _SEQUENCE_END:
            return b"".join(fragments[1:]), at + 8  # the first item is the offset table
        if tag != _ITEM or at + 8 + length > len(data):
            break
        fragments.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    raise BadData("damaged compressed pixels", found=f"after {len(fragments)} fragments")


def _check_frame(frame: bytes, header: Header, precisions: tuple[int, ...] | None) -> None:
    """Whether the frame is as large as the file's header says, and of a precision that its syntax knows.

    Decoders take a frame of 16 bits for one of 12, and what they make of it is no film.
    """
    if sniff(frame) == "JPEG":
        inner = read_frame_header(frame)
        size = (inner.width, inner.height)
        if precisions and inner.bits not in precisions:
            allowed = " or ".join(map(str, precisions))
            raise BadData(
                "a JPEG frame of an impossible precision", found=f"{inner.bits} bits, not {allowed}"
            )
    else:
        with Image.open(io.BytesIO(frame), formats=("JPEG2000",)) as image:
            size = image.size
    if size != (header.width, header.height):
        raise BadData("two headers in one file", found=f"{size} and {header}")


def _refused(what: str) -> BadData:
    return BadData(what, found="not decoded here", do="Export it uncompressed, as JPEG or as PNG.")


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever a parser raises on hostile bytes into BadData, and silence its warnings.

    Only the kind of the error is told: its words may quote the file, and the file holds names.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PneumoError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser of foreign bytes raises anything
        raise BadData(what, found=type(error).__name__, do="Export the film again.") from None
