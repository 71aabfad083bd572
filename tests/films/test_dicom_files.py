"""The compressions and the shapes of files that archives really have."""

import io
import zlib
from pathlib import Path

import gdcm
import numpy as np
import pytest
from jpeg_ls import encode as encode_jpeg_ls
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from pneumo_tasks.errors import BadData
from pneumo_tasks.films import dicom_files
from pneumo_tasks.films.dicom import decode_dicom
from pneumo_tasks.films.dicom_files import open_dicom
from pneumo_tasks.films.image_headers import sniff
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.storage.digests import sha256
from tests.intake.dicoms import dicom, jpeg_dicom
from tests.intake.films import film, jpeg

FILM = film(1)
DEEP = FILM.astype(np.uint16) * 16 + 7  # 12-bit values
TWELVE = {"BitsStored": 12, "HighBit": 11}
LOSSLESS = {
    "any predictor": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "first predictor": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
}


def shown(data: bytes) -> Grey:
    return decode_dicom(open_dicom(data), None).grey


def transcoded(data: bytes, syntax: int, folder: object) -> bytes:
    """The same film in another transfer syntax, written by a second, independent library."""
    source, target = f"{folder}/source.dcm", f"{folder}/target.dcm"
    with open(source, "wb") as file:
        file.write(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(source)
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(target)
    assert writer.Write()
    with open(target, "rb") as file:
        return file.read()


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
@pytest.mark.parametrize("pixels", [FILM, DEEP], ids=["8 bits", "12 bits"])
def test_jpeg_lossless_is_exact(syntax: int, pixels: np.ndarray, tmp_path: object) -> None:
    plain = dicom(pixels, **(TWELVE if pixels is DEEP else {}))
    data = transcoded(plain, syntax, tmp_path)
    assert dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID[-3:] in (".57", ".70")
    assert np.array_equal(shown(data), FILM)


def test_jpeg_extended_of_12_bits_is_what_another_decoder_makes_of_it() -> None:
    """The digest is that of what dcmtk 3.6.7 (`dcmdjpeg`) writes of the same file, as it is shown."""
    path = get_testdata_file("JPGExtended.dcm", download=False)
    assert sha256(shown(Path(str(path)).read_bytes()).tobytes()).startswith("4e6889857f77b1e1")


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
def test_a_jpeg_frame_of_a_precision_that_its_syntax_does_not_know_is_refused(
    syntax: UID, tmp_path: Path
) -> None:
    """gdcm writes 16 bits into the header of a frame of 12, and nobody decodes that without white holes."""
    data = transcoded(dicom(DEEP, **TWELVE), gdcm.TransferSyntax.JPEGExtendedProcess2_4, tmp_path)
    frame = open_dicom_frame(data)
    with pytest.raises(BadData, match="impossible precision"):
        open_dicom(dicom(DEEP, syntax=syntax, frame=frame, **TWELVE))


def open_dicom_frame(data: bytes) -> bytes:
    (frame,) = generate_frames(dcmread(io.BytesIO(data)).PixelData, number_of_frames=1)
    return frame


def test_jpeg_ls_is_exact() -> None:
    frame = bytes(encode_jpeg_ls(DEEP))
    assert np.array_equal(shown(dicom(DEEP, syntax=JPEGLSLossless, frame=frame, **TWELVE)), FILM)


def test_jpeg_2000_is_exact() -> None:
    buffer = io.BytesIO()
    Image.fromarray(FILM).save(buffer, "JPEG2000", irreversible=False)
    assert np.array_equal(shown(dicom(FILM, syntax=JPEG2000Lossless, frame=buffer.getvalue())), FILM)


@pytest.mark.parametrize("pixels", [FILM, DEEP], ids=["8 bits", "12 bits"])
def test_rle_is_exact(pixels: np.ndarray) -> None:
    dataset = dcmread(io.BytesIO(dicom(pixels, **(TWELVE if pixels is DEEP else {}))))
    dataset.compress(RLELossless, generate_instance_uid=False)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert np.array_equal(shown(buffer.getvalue()), FILM)


def test_a_run_length_bomb_is_refused_before_it_is_decoded() -> None:
    segment = b"\x81\0" * 500_000  # 64 MB of zeros
    frame = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + segment
    with pytest.raises(BadData, match="pixels missing or too many"):
        open_dicom(dicom(FILM, syntax=RLELossless, frame=frame))


def deflated(data: bytes) -> bytes:
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(data[start:]) + packer.flush()
    head = data[:start].replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    return head[:140] + (start - 144 + 2).to_bytes(4, "little") + head[144:] + body


def test_a_deflated_file_is_exact() -> None:
    assert np.array_equal(shown(deflated(dicom(DEEP, **TWELVE))), FILM)


def test_a_deflated_bomb_is_refused_at_its_limit() -> None:
    data = deflated(dicom(FILM, ImageComments="x" * 5_000_000))
    with pytest.raises(BadData, match="limit 1000000"):
        open_dicom(data, max_bytes=1_000_000)


def test_a_frame_may_come_in_hundreds_of_fragments() -> None:
    frame = jpeg(FILM, quality=95)
    step = 2 * (len(frame) // 400)
    data = dicom(FILM, syntax=JPEGBaseline8Bit, frame=frame)
    parts = [frame[at : at + step] for at in range(0, len(frame), step)]
    dataset = dcmread(io.BytesIO(data))
    dataset.PixelData = encapsulate([frame], fragments_per_frame=len(parts))
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert np.abs(shown(buffer.getvalue()).astype(int) - shown(jpeg_dicom(FILM, frame))).max() == 0


@pytest.mark.parametrize("missing", [132, "meta"])
def test_a_file_without_its_beginning_is_read_all_the_same(missing: int | str) -> None:
    data = dicom(DEEP, **TWELVE)
    cut = data[132:] if missing == 132 else data[144 + int.from_bytes(data[140:144], "little") :]
    if missing == "meta":
        cut = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + cut
    assert sniff(cut) == "DICOM"
    assert np.array_equal(shown(cut), FILM)


def test_a_missing_decoder_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    data = transcoded(dicom(DEEP, **TWELVE), gdcm.TransferSyntax.JPEGLosslessProcess14_1, tmp_path)
    monkeypatch.setattr(dicom_files.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BadData, match="pip install python-gdcm"):
        open_dicom(data)
