"""16-bit PNG films with colours or alpha, written here filter by filter."""

import struct
import zlib

import numpy as np
import pytest

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.imaging import decode_grey
from tests.intake.films import film

FILM = film(1)
DEEP = FILM.astype(np.uint16) * 16 + 7
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # samples a pixel, and the colour type of a PNG


def filtered(row: bytes, above: bytes, size: int, kind: int) -> bytes:
    def at(line: bytes, place: int) -> int:
        return line[place] if place >= 0 else 0

    found = bytearray([kind])
    for place, value in enumerate(row):
        left, up, corner = at(row, place - size), at(above, place), at(above, place - size)
        estimate = left + up - corner
        nearest = min((left, up, corner), key=lambda near: abs(estimate - near))
        found.append((value - (0, left, up, (left + up) // 2, nearest)[kind]) % 256)
    return bytes(found)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(pixels: np.ndarray, kinds: tuple[int, ...] = (0,), interlaced: int = 0) -> bytes:
    height, width, samples = pixels.shape
    rows = [row.astype(">u2").tobytes() for row in pixels]
    packed = b"".join(
        filtered(row, rows[at - 1] if at else bytes(len(row)), 2 * samples, kinds[at % len(kinds)])
        for at, row in enumerate(rows)
    )
    head = struct.pack(">IIBBBBB", width, height, 16, COLOURS[samples], 0, 0, interlaced)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (4,), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("samples", [2, 3, 4])
def test_twelve_bits_in_sixteen_are_not_lost_in_any_colour_type(samples: int, kinds: tuple[int, ...]) -> None:
    pixels = np.repeat(DEEP[..., None], samples, axis=2)
    if samples in (2, 4):
        pixels[..., -1] = 65535
    assert np.array_equal(decode_grey(deep_png(pixels, kinds)), FILM)


def test_what_is_transparent_is_black() -> None:
    pixels = np.repeat(DEEP[..., None], 2, axis=2)
    pixels[..., 1] = 65535
    pixels[:20, :, 1] = 0
    found = decode_grey(deep_png(pixels))
    assert not found[:20].any()
    assert np.array_equal(found[20:], FILM[20:])


def test_an_interlaced_file_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadData, match="without interlacing"):
        decode_grey(deep_png(np.repeat(DEEP[..., None], 3, axis=2), interlaced=1))


def test_too_few_rows_are_refused() -> None:
    data = deep_png(np.repeat(DEEP[..., None], 3, axis=2))
    taller = data.replace(struct.pack(">II", *DEEP.shape[::-1]), struct.pack(">II", DEEP.shape[1], 500))
    head = taller[12:29]
    taller = taller[:29] + struct.pack(">I", zlib.crc32(head)) + taller[33:]
    with pytest.raises(BadData, match="pixels missing"):
        decode_grey(taller)


def test_a_marker_burnt_in_far_above_the_film_does_not_darken_it() -> None:
    marked = DEEP.copy()
    marked[5:20, 5:20] = 65535
    found = decode_grey(deep_png(marked[..., None]))
    assert np.array_equal(found[20:], FILM[20:])
