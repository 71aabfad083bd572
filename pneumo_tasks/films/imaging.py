"""The one decoder: file bytes in, 8-bit grey pixels out; intake, training and prediction share it."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.deep_png import decode_deep, is_deep
from pneumo_tasks.films.depth import in_8_bits
from pneumo_tasks.films.image_headers import Header, read_header
from pneumo_tasks.settings import Settings

Grey = NDArray[np.uint8]

# A progressive film has about ten scans, and each one costs a pass over all pixels.
_MAX_SCANS, _MAX_SCANNED_PIXELS = 64, 400_000_000
_MAX_CHUNKS = 65_536
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_AN_EIGHTH = {"min_height": 1, "min_width": 1}  # the smallest scale that libjpeg has
_STRIP = 512  # rows whose colours are held at a time


@dataclass(frozen=True)
class Limits:
    """What a file may be, checked before a pixel is decoded; sides are in pixels."""

    max_bytes: int = 50 * 2**20
    max_pixels: int = 25_000_000
    min_side: int = 1
    max_side: int = 10_000

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            settings.max_image_bytes,
            settings.max_image_pixels,
            settings.min_image_side,
            settings.max_image_side,
        )

    @property
    def most_inflated(self) -> int:
        """Bytes that a deflated DICOM file may inflate to: a film of 16 bits and as much again beside it."""
        return 2 * self.max_pixels + self.max_bytes

    def check(self, size: int, header: Header | None = None) -> None:
        """Raise BadData unless a file of ``size`` bytes with this header may be decoded."""
        if size > self.max_bytes:
            raise BadData("too many bytes", found=f"{size}, limit {self.max_bytes}")
        if header is None:
            return
        shown = f"{header.width}x{header.height}"
        if header.width * header.height > self.max_pixels:
            raise BadData("too many pixels", found=f"{shown}, limit {self.max_pixels}")
        if max(header.width, header.height) > self.max_side:
            raise BadData("a side is too long", found=f"{shown}, limit {self.max_side}")
        if min(header.width, header.height) < self.min_side:
            raise BadData("a side is too short", found=f"{shown}, limit {self.min_side}")


@dataclass(frozen=True)
class Picture:
    """Decoded pixels: ``grey`` is uint8 (H, W), upright; ``colour`` the mean chroma in grey levels.

    ``width`` and ``height`` are those of the upright film, also where ``grey`` is a smaller copy.
    """

    grey: Grey
    colour: float
    width: int
    height: int


def decode_grey(data: bytes, limits: Limits | None = None) -> Grey:
    """Decode a file to uint8 (H, W), upright, the same bytes on every machine and in every stage.

    BadData where the file is no JPEG or PNG, exceeds ``limits``, is cut short or damaged.
    """
    limits = limits or Limits()
    limits.check(len(data))
    header = read_header(data)
    limits.check(len(data), header)
    return _decode(data, header, colour=False, enough=None).grey


def decode_picture(data: bytes, header: Header, enough: int | None = None) -> Picture:
    """Decode a file whose limits were checked; the same pixels as ``decode_grey``, and the colour.

    ``enough``: a JPEG film may come as the means of its blocks of 8 x 8 pixels, where those are at least
    so many in a row and in a column. Every bit of the file is read and checked all the same.
    """
    return _decode(data, header, colour=True, enough=enough)


def _decode(data: bytes, header: Header, colour: bool, enough: int | None) -> Picture:
    if header.mode == "cmyk":
        raise BadData("a CMYK image", do="Export the film as grey.")
    try:
        if header.format == "JPEG":
            return _decode_jpeg(data, header, colour, enough)
        _check_png(data)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return _as_deep_picture(data, header, image) if is_deep(header) else _as_picture(image, colour)
    except (OSError, SyntaxError, ValueError, TypeError, struct.error, zlib.error, EOFError) as error:
        raise BadData("not decodable", found=str(error)[:200], do="Export the film again.") from None
    except (Image.DecompressionBombError, MemoryError, OverflowError, IndexError, KeyError) as error:
        raise BadData("not decodable", found=f"{type(error).__name__}: {error}"[:200]) from None


def _decode_jpeg(data: bytes, header: Header, colour: bool, enough: int | None) -> Picture:
    """libjpeg-turbo, told to refuse what it would only warn of: Pillow decodes damaged scans in silence."""
    if not data.rstrip(b"\0\r\n ").endswith(b"\xff\xd9"):
        raise BadData("not a whole JPEG image", found="its last bytes are no end of an image")
    scans = _count_scans(data)
    if scans > min(_MAX_SCANS, _MAX_SCANNED_PIXELS / (header.width * header.height)):
        raise BadData("a JPEG file with too many scans", found=f"{scans} scans of {header}")
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    if (height, width) != (header.height, header.width):
        raise BadData("two headers in one file", found=f"{width}x{height} and {header}")
    scale = _AN_EIGHTH if enough and min(height, width) >= 8 * enough else {}
    grey = simplejpeg.decode_jpeg(data, "GRAY", strict=True, **scale)[..., 0]
    chroma = 0.0
    if colour and header.mode == "rgb":  # colour needs no detail
        small = simplejpeg.decode_jpeg(data, "RGB", strict=True, **_AN_EIGHTH)
        chroma = _chroma(Image.fromarray(small).convert("YCbCr"))
    orientation = 1
    if header.exif:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            orientation = _orientation(image)
    if orientation in _TURNED:
        height, width = width, height
    return Picture(np.ascontiguousarray(_upright(grey, orientation)), chroma, width, height)


def _count_scans(data: bytes) -> int:
    """How often FF DA stands in ``data``; the many FF of a film make bytes.count slow."""
    values = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == 0xDA)))


def _as_deep_picture(data: bytes, header: Header, image: Image.Image) -> Picture:
    deep, colours = decode_deep(data, header)
    chroma = _chroma(Image.fromarray(colours).convert("YCbCr"))
    grey = np.ascontiguousarray(_upright(in_8_bits(deep), _orientation(image)))
    return Picture(grey, chroma, grey.shape[1], grey.shape[0])


def _as_picture(image: Image.Image, colour: bool) -> Picture:
    orientation = _orientation(image)
    image.load()
    if image.mode.startswith("I"):
        grey, chroma = in_8_bits(np.clip(np.asarray(image), 0, 65535).astype(np.uint16)), 0.0
    elif image.mode == "L" and not image.has_transparency_data:
        grey, chroma = np.asarray(image), 0.0
    else:
        grey, chroma = _from_colours(image, colour)
    grey = np.ascontiguousarray(_upright(grey, orientation))
    return Picture(grey, chroma, grey.shape[1], grey.shape[0])


def _from_colours(image: Image.Image, colour: bool) -> tuple[Grey, float]:
    """Grey and chroma strip by strip: colours of a whole film take four to twelve times its memory."""
    grey, chroma = np.empty((image.height, image.width), np.uint8), 0.0
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        if strip.mode in ("P", "PA") or strip.has_transparency_data:
            strip = strip.convert("RGBA")
            black = Image.new("RGBA", strip.size, "black")  # what lies behind a film is dark
            strip = Image.alpha_composite(black, strip).convert("RGB")
        if colour and strip.mode == "RGB":
            chroma += _chroma(strip.convert("YCbCr")) * strip.height / image.height
        grey[top : top + strip.height] = np.asarray(strip.convert("L"))
    return grey, chroma


def _chroma(image: Image.Image) -> float:
    """Mean distance of Cb and Cr from neutral: 0 is a grey film, a photograph has 5 or more."""
    counts = np.asarray(image.histogram(), float)[256:].reshape(2, 256)
    return float((counts @ np.abs(np.arange(256) - 128.0)).max() / counts[0].sum())


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except (OSError, SyntaxError, ValueError, TypeError, struct.error, KeyError, IndexError):
        return 1  # damaged camera data says nothing about the pixels
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(grey: Grey, orientation: int) -> Grey:
    if orientation in _TURNED:
        grey = grey.T
    if orientation in (2, 3, 6, 7):
        grey = grey[:, ::-1]
    if orientation in (3, 4, 7, 8):
        grey = grey[::-1]
    return grey


def _check_png(data: bytes) -> None:
    """Check each chunk's CRC (Pillow skips that of the pixels) and that the file holds one image."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            break
        length = int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        kind = data[at + 4 : at + 8]
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise BadData("a damaged PNG chunk", found=repr(kind), do="Send the file again.")
        if kind == b"acTL":
            raise BadData("an animated PNG", do="Send one film in one file.")
        if kind == b"IEND":
            if data[end:].strip(b"\0\r\n "):
                raise BadData("not a PNG image alone", found=f"{len(data) - end} bytes after its end")
            return
        at = end
    raise BadData("a PNG file without its end", found=f"{len(data)} bytes", do="Send the file again.")
