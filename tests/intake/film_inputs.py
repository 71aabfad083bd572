"""Films that hospitals really send, each with the rule that stops it, or the grey levels that come out."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from pneumo_tasks.films.imaging import Grey, decode_grey
from tests.intake.dicoms import dicom, jpeg_dicom
from tests.intake.films import film, jpeg, png

TWELVE = {"BitsStored": 12, "HighBit": 11}


@dataclass(frozen=True)
class Sent:
    """``grey`` is what has to come out, where the film is accepted; ``suffix`` names the file."""

    data: bytes
    rule: str | None = None
    grey: Grey | None = None
    suffix: str = ".dcm"


def deep(seed: int) -> np.ndarray:
    return film(seed).astype(np.uint16) * 16 + 7  # 12-bit values


def linear(values: np.ndarray, centre: float, width: float) -> Grey:
    levels = np.clip((values.astype(float) - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    return np.rint(levels * 255).astype(np.uint8)


def table(entries: np.ndarray, bits: int, packed: bool = False) -> Sequence:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries) % 65536, 0, bits])
    item.add_new(0x00283006, "OW", entries.astype("u1" if packed else "<u2").tobytes())
    return Sequence([item])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(pixels: np.ndarray, colour: int) -> bytes:
    """PNG of 16 bits as Pillow cannot write it: colour type 2 is RGB, 4 grey with alpha."""
    pixels = pixels.astype(">u2")
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _in_fragments(seed: int, count: int) -> Sent:
    frame = jpeg(film(seed), quality=95)
    dataset = dcmread(
        io.BytesIO(dicom(film(seed), syntax=JPEGBaseline8Bit, frame=frame, PatientID=f"P{seed}"))
    )
    dataset.PixelData = encapsulate([frame], fragments_per_frame=count)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return Sent(buffer.getvalue(), grey=decode_grey(frame))


def _changed(seed: int, **how: object) -> bytes:
    dataset = dcmread(io.BytesIO(dicom(film(seed), PatientID=f"P{seed}")))
    if how.pop("rle", False):
        dataset.compress(RLELossless, generate_instance_uid=False)
    if how.pop("implicit", False):
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, **({"implicit_vr": True, "little_endian": True} if how.pop("vr", False) else {}))
    return buffer.getvalue()


def _grey_levels() -> dict[str, Sent]:
    def shown(seed: int, pixels: np.ndarray, grey: Grey, **tags: object) -> Sent:
        return Sent(dicom(pixels, PatientID=f"P{seed}", **tags), grey=grey)

    square = np.rint(255 * (np.arange(4096) / 4095) ** 2).astype(np.uint16)
    signed = (deep(8).astype(np.int32) - 2048).astype(np.int16)
    marked = deep(9)
    marked[5:20, 5:20] = 65535
    white = film(9)
    white[5:20, 5:20] = 255
    rising = np.arange(4096)
    return {
        "12 bits in 16": shown(1, deep(1), film(1)),
        "10 bits in 16": shown(2, film(2).astype(np.uint16) * 4 + 1, film(2)),
        "14 bits in 16": shown(3, film(3).astype(np.uint16) * 64, film(3)),
        "12 bits said": shown(4, deep(4), film(4), **TWELVE),
        "modality table": shown(5, deep(5), film(5), ModalityLUTSequence=table(rising, 12), **TWELVE),
        "falling modality table": shown(
            6, 4095 - deep(6), film(6), ModalityLUTSequence=table(4095 - rising, 12), **TWELVE
        ),
        "negative slope and a window": shown(
            7, 4095 - deep(7), linear(deep(7), 2048, 3000), **TWELVE,
            RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=3000,
        ),
        "window centre 0": shown(
            8, signed, linear(signed, 0, 3500), **TWELVE, WindowCenter=0, WindowWidth=3500
        ),
        "burnt-in marker": shown(9, marked, white),
        "empty rescale": shown(10, deep(10), film(10), **TWELVE, RescaleSlope="", RescaleIntercept=""),
        "display table in words": shown(
            11, deep(11), square[deep(11)].astype(np.uint8), **TWELVE, VOILUTSequence=table(square, 8)
        ),
        "display table in bytes": shown(
            12, deep(12), square[deep(12)].astype(np.uint8), **TWELVE, VOILUTSequence=table(square, 8, True)
        ),
        "black is white": shown(13, 255 - film(13), film(13), PhotometricInterpretation="MONOCHROME1"),
        "bits at the top": shown(14, deep(14) << 4, film(14), BitsStored=12, HighBit=15),
        "several windows": shown(
            15, deep(15), linear(deep(15), 2000, 3000), **TWELVE,
            WindowCenter=[2000, 9], WindowWidth=[3000, 9],
        ),
    }  # fmt: skip


def _views() -> dict[str, Sent]:
    def seen(seed: int, rule: str | None, **tags: object) -> Sent:
        return Sent(dicom(film(seed), PatientID=f"P{seed}", **tags), rule, None if rule else film(seed))

    def code(value: str, meaning: str) -> Sequence:
        item = Dataset()
        item.CodeValue, item.CodeMeaning = value, meaning
        return Sequence([item])

    others = ["XTABLE LATERAL", "SWIMMERS", "LAO", "LLO", "L LAT", "RPO", "STENVERS"]
    found = {
        f"view {name}": seen(100 + at, "frontal-view", ViewPosition=name) for at, name in enumerate(others)
    }
    for at, name in enumerate(("AP", "PA", "AP SUPINE", "POSTERO-ANTERIOR")):
        found[f"view {name}"] = seen(110 + at, None, ViewPosition=name)
    return found | {
        "view code lateral": seen(
            120, "frontal-view", ViewPosition=None, ViewCodeSequence=code("R-10236", "left lateral")
        ),
        "view code frontal": seen(121, None, ViewPosition=None, ViewCodeSequence=code("399348003", "AP")),
        "orientation from the side": seen(
            122, "frontal-view", ViewPosition=None, PatientOrientation=["A", "F"]
        ),
        "no view": seen(123, None, ViewPosition=None),
    }


def _files() -> dict[str, Sent]:
    whole = dicom(film(209), PatientID="P209")
    alpha = np.stack([deep(213), np.full((96, 96), 65535, np.uint16)], axis=-1)
    return {
        "96 fragments": _in_fragments(201, 96),
        "500 fragments": _in_fragments(202, 500),
        "1.2.826.0.1.3680043.8.498.60": Sent(dicom(film(203), PatientID="P203"), grey=film(203), suffix=""),
        "IM000001": Sent(dicom(film(204), PatientID="P204"), grey=film(204), suffix=""),
        "siemens": Sent(dicom(film(205), PatientID="P205"), grey=film(205), suffix=".IMA"),
        "mammoth": Sent(dicom(film(206), PatientID="P206"), grey=film(206), suffix=".dc3"),
        "a dicom called jpeg": Sent(dicom(film(207)), "format-matches-name", suffix=".jpeg"),
        "rle": Sent(_changed(208, rle=True), grey=film(208)),
        "no preamble": Sent(whole[132:], grey=film(209)),
        "implicit": Sent(_changed(210, implicit=True, vr=True), grey=film(210)),
        "person211_virus_1": Sent(png(deep(211)), grey=film(211), suffix=".PNG"),
        "person212_virus_1": Sent(raw_png(np.stack([deep(212)] * 3, -1), 2), grey=film(212), suffix=".png"),
        "person213_virus_1": Sent(raw_png(alpha, 4), grey=film(213), suffix=".png"),
        "person214_virus_1": Sent(jpeg(film(214)), grey=decode_grey(jpeg(film(214))), suffix=".JPG"),
        "person215_virus_1": Sent(jpeg(film(215)), grey=decode_grey(jpeg(film(215))), suffix=".jfif"),
        "half a frame": Sent(jpeg_dicom(film(216), jpeg(film(216))[:900], PatientID="P216"), "decodable"),
    }  # fmt: skip


def _ids() -> dict[str, Sent]:
    def of(seed: int, patient: bytes, charset: str, rule: str | None = None) -> Sent:
        data = dicom(film(seed), PatientID="X" * 8, SpecificCharacterSet=charset)
        return Sent(data.replace(b"X" * 8, patient.ljust(8)), rule, None if rule else film(seed))

    return {
        "id in utf-7": of(301, b"+2AA-", "utf-7", "decodable"),
        "id that is no utf-8": of(302, b"M\xfcller", "ISO_IR 192"),
        "another that is no utf-8": of(303, b"M\xf6ller", "ISO_IR 192"),
        "id in an unknown character set": of(304, b"P304", "ISO_IR 999"),
        "id in japanese escapes": of(305, b"\x1b$B;3\x1b(", "ISO 2022 IR 87"),
        "id of spaces": of(306, b"", "ISO_IR 100", "patient-known"),
        "id NA": of(307, b"NA", "ISO_IR 100", "patient-known"),
        "id with a null": of(308, b"P308\0\0", "ISO_IR 100"),
    }


FILMS: dict[str, Sent] = {
    f"{'PNEUMONIA' if at % 2 else 'NORMAL'}/{name}{sent.suffix}": sent
    for at, (name, sent) in enumerate({**_grey_levels(), **_views(), **_files(), **_ids()}.items())
}
