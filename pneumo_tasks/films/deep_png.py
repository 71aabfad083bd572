"""PNG films of 16 bits with colours or alpha, which Pillow would cut down to 8 bits before we see them."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.image_headers import Header

_SAMPLES = {"grey+alpha": 2, "rgb": 3, "rgb+alpha": 4}
_LUMA = (19595, 38470, 7471)  # ITU-R BT.601, as Pillow weighs the colours of an 8-bit film
_INTERLACED = 28  # the place of that byte in a PNG file

Deep = NDArray[np.uint16]


def is_deep(header: Header) -> bool:
    """A 16-bit PNG that is more than plain grey."""
    return header.format == "PNG" and header.bits == 16 and header.mode in _SAMPLES


def decode_deep(data: bytes, header: Header) -> tuple[Deep, NDArray[np.uint8]]:
    """(grey uint16 (H, W), colours uint8 (H, W, 3)) of a file whose chunks and limits were checked.

    What is transparent is black, as behind a film. Raises BadData where the pixels are damaged.
    """
    if data[_INTERLACED]:
        raise BadData("an interlaced PNG of 16 bits", do="Export the film without interlacing.")
    samples = _SAMPLES[header.mode]
    shape = (header.height, header.width, 2 * samples)
    deep = _unfiltered(_inflated(data, header.height * (1 + header.width * 2 * samples)), shape).view(">u2")
    values = deep.astype(np.uint16)
    if header.mode.endswith("+alpha"):
        opaque = values[..., -1:].astype(np.uint32)
        values = (values[..., :-1] * opaque // 65535).astype(np.uint16)
    if values.shape[-1] == 1:
        return values[..., 0], np.repeat((values >> 8).astype(np.uint8), 3, axis=2)
    grey = np.zeros(values.shape[:2], np.uint32)
    for at, weight in enumerate(_LUMA):
        grey += weight * values[..., at].astype(np.uint32)
    return ((grey + 0x8000) >> 16).astype(np.uint16), (values >> 8).astype(np.uint8)


def _inflated(data: bytes, expected: int) -> bytes:
    """The filtered rows; never more than ``expected`` bytes and one."""
    packed, at = bytearray(), 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = zlib.decompressobj().decompress(bytes(packed), expected + 1)
    if len(rows) != expected:
        raise BadData("pixels missing or too many", found=f"{len(rows)} bytes for {expected}")
    return rows


def _unfiltered(rows: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Undo the five filters of a PNG (ISO/IEC 15948, 9.2): each byte from those left, above, above left.

    A pixel needs pixels of its own and of the row above alone, so all pixels of one skewed diagonal are
    independent of each other and are computed at once.
    """
    height, width, size = shape
    filtered = np.frombuffer(rows, np.uint8).reshape(height, 1 + width * size)
    kinds, pixels = filtered[:, 0], filtered[:, 1:].reshape(shape)
    if kinds.max(initial=0) > 4:
        raise BadData("a PNG row with an unknown filter", found=f"filter {kinds.max()}, limit 4")
    found = np.zeros((height + 1, width + 1, size), np.uint8)
    for diagonal in range(height + width - 1):
        row = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        column = diagonal - row
        left = found[row + 1, column].astype(np.int16)
        above = found[row, column + 1].astype(np.int16)
        corner = found[row, column].astype(np.int16)
        predictors = [np.zeros_like(left), left, above, (left + above) // 2, _paeth(left, above, corner)]
        found[row + 1, column + 1] = pixels[row, column] + np.choose(kinds[row][:, None], predictors)
    return np.ascontiguousarray(found[1:, 1:])


def _paeth(left: NDArray[Any], above: NDArray[Any], corner: NDArray[Any]) -> NDArray[Any]:
    estimate = left + above - corner
    to_left, to_above, to_corner = (abs(estimate - near) for near in (left, above, corner))
    nearest = np.where(to_above <= to_corner, above, corner)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
