import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.image_headers import read_header, sniff
from pneumo_tasks.films.imaging import Grey, Limits, decode_grey, decode_picture


def film(height: int = 90, width: int = 120) -> Grey:
    rows, columns = np.mgrid[0:height, 0:width]
    return (128 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_a_grey_film_reads_the_same_in_every_png_mode(mode: str) -> None:
    assert np.array_equal(decode_grey(encoded(film(), mode=mode)), film())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_grey_as_pillow_reads_it(mode: str) -> None:
    data = encoded(film(), "JPEG", mode, quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert np.abs(decode_grey(data).astype(int) - expected).max() <= 1


def test_grey_and_picture_hold_the_same_pixels() -> None:
    photograph = np.stack([film(), film()[::-1], film()[:, ::-1]], axis=-1)
    for data in (encoded(photograph), encoded(photograph, "JPEG"), encoded(film()), encoded(film(), "JPEG")):
        assert np.array_equal(decode_grey(data), decode_picture(data, read_header(data)).grey)


def test_colour_is_zero_for_a_film_and_large_for_a_photograph() -> None:
    photograph = np.stack([film(), film()[::-1], film()[:, ::-1]], axis=-1)
    grey, colour = encoded(film(), "JPEG", "RGB"), encoded(photograph, "JPEG")
    assert decode_picture(grey, read_header(grey)).colour < 0.1
    assert decode_picture(colour, read_header(colour)).colour > 5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_honoured(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(film(), kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode_grey(data), expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bit_pixels_are_scaled_by_the_bits_in_use(bits: int) -> None:
    deep = film().astype(np.uint16) << (bits - 8)
    deep[0, 0] = 2**bits - 1
    found = decode_grey(encoded(deep))
    assert np.array_equal(found.ravel()[1:], film().ravel()[1:])


def test_what_lies_behind_a_transparent_film_is_black() -> None:
    pixels = np.dstack([film(), film(), film(), np.zeros_like(film())])
    assert decode_grey(encoded(pixels)).max() == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("tenth", range(10))
def test_a_file_cut_anywhere_is_refused(kind: str, tenth: int) -> None:
    data = encoded(film(), kind)
    with pytest.raises(BadData):
        decode_grey(data[: len(data) * tenth // 10])
    with pytest.raises(BadData):
        decode_grey(data[:-1])


def test_a_flipped_bit_in_the_pixels_of_a_png_is_noticed() -> None:
    data = bytearray(encoded(film()))
    data[len(data) // 2] ^= 4
    with pytest.raises(BadData, match="PNG"):
        decode_grey(bytes(data))


def test_a_header_that_claims_too_much_is_refused_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 65000, 65000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(BadData, match=r"65000x65000, limit 25000000"):
        decode_grey(data)


def test_each_limit_names_its_value() -> None:
    data = encoded(film())
    with pytest.raises(BadData, match=rf"{len(data)}, limit 100"):
        decode_grey(data, Limits(max_bytes=100))
    with pytest.raises(BadData, match=r"120x90, limit 100"):
        decode_grey(data, Limits(max_side=100))
    with pytest.raises(BadData, match=r"120x90, limit 99"):
        decode_grey(data, Limits(min_side=99))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>sign in</html>", "HTML"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', "SVG"),
        (b"GIF89a" + bytes(40), "GIF"),
        (b"%PDF-1.7", "PDF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WEBP"),
        (bytes(64), "unknown"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, kind: str) -> None:
    assert sniff(data) == kind
    with pytest.raises(BadData, match=kind):
        decode_grey(data)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_may_come_as_its_block_means_with_its_own_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(film(1104, 1304), "JPEG", quality=95, exif=exif)
    whole, small = (decode_picture(data, read_header(data), enough) for enough in (None, 128))
    assert (small.width, small.height) == (whole.width, whole.height) == whole.grey.shape[::-1]
    rows, columns = (side // 8 for side in whole.grey.shape)
    means = whole.grey.reshape(rows, 8, columns, 8).mean((1, 3))
    assert small.grey.shape == means.shape
    assert np.abs(small.grey - means).max() <= 2
    assert decode_picture(data, read_header(data), 160).grey.shape == whole.grey.shape


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_damage_is_seen_in_a_smaller_copy_too(place: float) -> None:
    data = encoded(film(1104, 1304), "JPEG", quality=95)
    cut = data[: int(len(data) * place)] + b"\xff\xd9"
    for enough in (None, 128):
        with pytest.raises(BadData):
            decode_picture(cut, read_header(cut), enough)
