"""Bad files of every kind we could think of, each with the rule that has to stop it."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

from tests.intake.dicoms import dicom, jpeg_dicom
from tests.intake.films import encoded, film, jpeg, png

Kinds = dict[str, tuple[bytes, str]]

OTHER_FORMATS = {
    "html": b"<!DOCTYPE html><title>Sign in</title>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg-xml": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
    "pdf": b"%PDF-1.7 film.jpeg",
    "zip": b"PK\x03\x04" + bytes(100),
    "gzip": b"\x1f\x8b\x08" + bytes(100),
    "program": b"\x7fELF" + bytes(100),
    "windows-program": b"MZ" + bytes(100),
    "tiff": b"II*\0" + bytes(100),
    "psd": b"8BPS" + bytes(100),
    "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "webp": b"RIFF\x00\x01\x00\x00WEBPVP8 " + bytes(100),
    "text": b"the film is on the other disk",
    "blanks": b" " * 4096,
    "script": b"#!/bin/sh\nrm -rf /\n",
    "pickle": b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94",
}


def hostile_files() -> Kinds:
    """Name (without folder and number) to bytes and rule."""
    return {**_damaged(), **_bombs(), **_others(), **_wrong_films(), **_dicoms()}


def _damaged() -> Kinds:
    whole = {"jpeg": jpeg(film(1), quality=90), "png": png(film(2)), "dcm": dicom(film(3))}
    kinds: Kinds = {}
    for suffix, data in whole.items():
        for tenth in range(1, 10):
            cut = len(data) * tenth // 10
            kinds[f"cut-{tenth}.{suffix}"] = (
                data[:cut],
                "format" if suffix == "dcm" and cut < 132 else "decodable",
            )
    image = whole["png"]
    for eighth in range(1, 8):
        at = len(image) * eighth // 8
        kinds[f"flipped-{eighth}.png"] = (image[:at] + bytes([image[at] ^ 16]) + image[at + 1 :], "decodable")
    kinds["empty.jpeg"] = (b"", "bytes")
    kinds["magic-alone.jpeg"] = (b"\xff\xd8\xff", "decodable")
    kinds["ends-early.jpeg"] = (whole["jpeg"][:2000] + b"\xff\xd9", "decodable")
    kinds["no-scan.jpeg"] = (whole["jpeg"][: whole["jpeg"].find(b"\xff\xda")] + b"\xff\xd9", "decodable")
    return kinds


def _png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(jpeg(film(4)))
    at = data.find(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _bombs() -> Kinds:
    whole = jpeg(film(5))
    scans = whole[whole.find(b"\xff\xda") : -2]
    chunk = b"zTXt" + b"k\0\0" + zlib.compress(bytes(20_000_000))
    text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    image = png(film(6))
    return {
        "65000.png": (_png_header(65000, 65000), "pixels"),
        "65000.jpeg": (_jpeg_claiming(65000, 65000), "pixels"),
        "zeros.png": (png(np.zeros((6000, 6000), np.uint8)), "pixels"),
        "line.png": (png(np.zeros((64, 10001), np.uint8)), "longest-side"),
        "claims-more.jpeg": (_jpeg_claiming(3000, 3000), "decodable"),
        "text-bomb.png": (image[:33] + text + image[33:], "decodable"),
        "scans.jpeg": (whole[:-2] + scans * 100 + b"\xff\xd9", "decodable"),
        "segments.jpeg": (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 2_000_000 + whole[2:], "decodable"),
        "fill.jpeg": (b"\xff\xd8" + b"\xff" * 5_000_000 + whole[2:], "decodable"),
        "two-frames.jpeg": (whole[:2] + whole[whole.find(b"\xff\xc0") :][:19] + whole[2:], "decodable"),
        "too-many-bytes.jpeg": (whole + bytes(51 * 2**20), "bytes"),
    }


def _others() -> Kinds:
    films = [Image.fromarray(film(seed)) for seed in (7, 8)]
    gif, apng = io.BytesIO(), io.BytesIO()
    films[0].save(gif, "GIF", save_all=True, append_images=films[1:])
    films[0].save(apng, "PNG", save_all=True, append_images=films[1:])
    cmyk, bmp = io.BytesIO(), io.BytesIO()
    Image.fromarray(film(9)).convert("CMYK").save(cmyk, "JPEG")
    Image.fromarray(film(9)).save(bmp, "BMP")
    whole = jpeg(film(10))
    return {
        **{f"{name}.jpeg": (data, "format") for name, data in OTHER_FORMATS.items()},
        "animated.gif": (gif.getvalue(), "format"),
        "bmp.jpeg": (bmp.getvalue(), "format"),
        "animated.png": (apng.getvalue(), "decodable"),
        "cmyk.jpeg": (cmyk.getvalue(), "colour-model"),
        "jpeg.png": (whole, "format-matches-name"),
        "png.jpeg": (png(film(11)), "format-matches-name"),
        "program.exe": (jpeg(film(12)), "format-matches-name"),
        "and-a-zip.jpeg": (whole + b"PK\x03\x04" + bytes(50) + b"PK\x05\x06" + bytes(18), "decodable"),
        "and-a-page.png": (png(film(13)) + b"<script>alert(1)</script>", "decodable"),
        "gif-and-jpeg.jpeg": (b"GIF89a" + whole, "format"),
        "page-and-jpeg.jpeg": (b"<html><!--" + whole, "format"),
    }


def _wrong_films() -> Kinds:
    colours = np.stack([film(14), film(15), film(16)], axis=-1)
    half = film(17)
    half[:, ::2] = 255 * (half[:, ::2] > 128)
    half[:64] = 255
    return {
        "blank.jpeg": (jpeg(np.full((96, 96), 80, np.uint8)), "not-blank"),
        "photograph.jpeg": (encoded(colours, "JPEG"), "greyscale"),
        "screenshot.png": (encoded(colours, "PNG"), "greyscale"),
        "clipped.png": (png(half), "not-clipped"),
        "inverted.png": (png(255 - film(18)), "not-inverted"),
        "preview.jpeg": (jpeg(film(19, side=63)), "shortest-side"),
    }


def _dicoms() -> Kinds:
    frame = jpeg(film(20, side=128))
    long = b"".join(struct.pack("<HH2sH", 0x0009, 0x1000 + n % 60000, b"LO", 0) for n in range(400_000))
    whole = dicom(film(21))
    pixels_at = whole.find(b"\xe0\x7f\x10\x00OB")
    return {
        "65000.dcm": (dicom(film(22), Rows=65000, Columns=65000), "decodable"),
        "claims-less.dcm": (dicom(film(22), Rows=10, Columns=10), "decodable"),
        "no-rows.dcm": (dicom(film(23), Rows=0), "decodable"),
        "movie.dcm": (dicom(film(24), NumberOfFrames=24), "decodable"),
        "colour.dcm": (dicom(film(24), PhotometricInterpretation="PALETTE COLOR"), "decodable"),
        "32-bit.dcm": (dicom(film(25).astype(np.uint32)), "decodable"),
        "inner-larger.dcm": (jpeg_dicom(film(20, side=64), frame), "decodable"),
        "inner-65000.dcm": (jpeg_dicom(film(20), _jpeg_claiming(65000, 65000)), "decodable"),
        "inner-garbage.dcm": (jpeg_dicom(film(20), b"\xff\xd8\xff" + bytes(500)), "decodable"),
        "rle.dcm": (dicom(film(26), syntax=RLELossless, frame=bytes(400)), "decodable"),
        "lossless.dcm": (dicom(film(26), syntax=JPEGLosslessSV1, frame=bytes(400)), "decodable"),
        "deflated.dcm": (
            whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99") + zlib.compress(bytes(10**7)),
            "decodable",
        ),
        "deflated-uid.dcm": (dicom(film(27), syntax=DeflatedExplicitVRLittleEndian)[:-900], "decodable"),
        "elements.dcm": (whole[:pixels_at] + long + whole[pixels_at:], "decodable"),
        "lateral.dcm": (dicom(film(28), ViewPosition="LATERAL"), "frontal-view"),
    }  # fmt: skip
