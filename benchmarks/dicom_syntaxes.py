"""Real films as an archive would hold them: do they have the features of the JPEG that they were made of?

Each film is written as DICOM in every transfer syntax that is read, of 8, 12 and 16 bits, goes through the
intake, and then through the frozen network. What the network says is compared with what it says of the JPEG,
as relative error (L2) and as largest difference of one feature.
"""

import argparse
import io
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pneumo_tasks.films.imaging import Limits, decode_grey
from pneumo_tasks.intake.inspecting.inspection import inspect_bytes
from pneumo_tasks.settings import Settings

Grey = NDArray[np.uint8]

SHARED = Path(__file__).resolve().parents[1].parent / "shared/data"
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
EXACT = (*NATIVE, RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)
_DEPTHS = {JPEGBaseline8Bit: (8,), JPEG2000: (8,)}
_SCALE = {8: 1.0, 12: 4095 / 255, 16: 257.0}


def forms() -> Iterator[tuple[UID, int]]:
    """Every (syntax, stored bits) that a film can be written in."""
    for syntax in (*EXACT, *LOSSY):
        depths = _DEPTHS.get(syntax, (8, 12, 16))
        if syntax == JPEGExtended12Bit:  # gdcm's own encoder writes frames that no decoder reads
            depths = (8, 12) if shutil.which("dcmcjpeg") else (8,)
        for bits in depths:
            yield syntax, bits


def written(jpeg: bytes, syntax: UID, bits: int) -> bytes:
    """The film of a JPEG file as DICOM; as JPEG of 8 bits with the file's own bytes where they are grey."""
    grey = decode_grey(jpeg)
    pixels = grey if bits == 8 else np.rint(grey * _SCALE[bits]).astype(np.uint16)
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) and bits == 8:
        return _file(pixels, bits, syntax, _baseline(jpeg, grey))
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        import jpeg_ls

        lossy = int(syntax == JPEGLSNearLossless) * min(255, int(_SCALE[bits]))
        return _file(pixels, bits, syntax, bytes(jpeg_ls.encode_array(pixels, lossy_error=lossy)))
    if syntax in (JPEG2000, JPEG2000Lossless) and bits == 8:
        buffer, lossy = io.BytesIO(), syntax == JPEG2000
        layers = {"quality_mode": "rates", "quality_layers": [4]} if lossy else {}
        Image.fromarray(grey).save(buffer, "JPEG2000", irreversible=lossy, no_jp2=True, **layers)
        return _file(pixels, bits, syntax, buffer.getvalue())
    plain = _file(pixels, bits, syntax if syntax in NATIVE else ExplicitVRLittleEndian)
    if syntax in NATIVE:
        return plain
    if syntax == JPEGExtended12Bit:
        return _by_dcmtk(plain)
    return _by_pydicom(plain, syntax) if syntax == RLELossless else _by_gdcm(plain, syntax)


def _baseline(jpeg: bytes, grey: Grey) -> bytes:
    with Image.open(io.BytesIO(jpeg)) as image:
        if image.mode == "L":
            return jpeg
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def _file(pixels: NDArray[Any], bits: int, syntax: UID, frame: bytes | None = None) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("1.2.3")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, bits, bits - 1
    dataset.PixelRepresentation, dataset.ViewPosition, dataset.PatientID = 0, "AP", "1"
    little = syntax != ExplicitVRBigEndian
    raw = pixels if little else pixels.astype(pixels.dtype.newbyteorder(">"))
    dataset.PixelData = encapsulate([frame]) if frame is not None else raw.tobytes()
    dataset["PixelData"].VR = "OW" if bits > 8 or syntax == ImplicitVRLittleEndian else "OB"
    buffer = io.BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    dataset.save_as(buffer, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    return buffer.getvalue()


def _by_pydicom(data: bytes, syntax: UID) -> bytes:
    dataset, buffer = dcmread(io.BytesIO(data)), io.BytesIO()
    dataset.compress(syntax)
    dataset.save_as(buffer)
    return buffer.getvalue()


def _by_gdcm(data: bytes, syntax: UID) -> bytes:
    import gdcm

    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.dcm", Path(folder) / "target.dcm"
        source.write_bytes(data)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(source))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(target))
        assert writer.Write()
        return target.read_bytes()


def _by_dcmtk(data: bytes) -> bytes:
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.dcm", Path(folder) / "target.dcm"
        source.write_bytes(data)
        subprocess.run(["dcmcjpeg", "+ee", "+q", "100", str(source), str(target)], check=True)
        return target.read_bytes()


def as_trained(data: bytes) -> Grey:
    """The film as training reads it: decoded by the intake, released as PNG, read again."""
    found = inspect_bytes("film.dcm", "key", data, Limits())
    if found.film is None:
        raise ValueError(f"not decoded: {found.facts.decode_error}")
    buffer = io.BytesIO()
    Image.fromarray(found.film).save(buffer, "PNG")
    return decode_grey(buffer.getvalue())


class Network:
    """What the frozen network of the default recipe says about films."""

    def __init__(self, weights: Path) -> None:
        from pneumo_tasks.storage.object_store import ObjectStore
        from pneumo_tasks.training.features.frozen_parts import FrozenParts
        from pneumo_tasks.training.features.frozen_pass import FrozenPass
        from pneumo_tasks.training.features.keys import pass_of
        from pneumo_tasks.training.framing.frames import SQUASH
        from pneumo_tasks.training.model.backbones import resolve_weights
        from pneumo_tasks.training.recipes import chosen_recipe

        settings = Settings(backbone_weights=str(weights), s3_endpoint="http://127.0.0.1:9")
        recipe = chosen_recipe(settings)
        found = resolve_weights(settings, ObjectStore.connect(settings), recipe.backbone)
        source = pass_of(recipe, found, SQUASH, "float32")
        self.frozen = FrozenPass.build(FrozenParts(recipe, found), SQUASH, source, recipe.cuts)

    def features(self, films: list[Grey]) -> NDArray[np.float32]:
        from pneumo_tasks.training.films import by_size

        frames = by_size(self.frozen.frame, films)
        answers = [
            self.frozen.body.predict_on_batch(frames[at : at + 16]) for at in range(0, len(frames), 16)
        ]
        parts = [part if isinstance(part, list) else [part] for part in answers]
        whole = [np.concatenate(cut) for cut in zip(*parts, strict=True)]
        return np.concatenate([cut.reshape(len(films), -1) for cut in whole], axis=1)


def real_films(count: int) -> list[bytes]:
    """As many films of each label, spread over the public training set."""
    films = []
    for label in ("NORMAL", "PNEUMONIA"):
        paths = sorted((SHARED / "chest_xray/train" / label).iterdir())
        films += [path.read_bytes() for path in paths[:: len(paths) // (count // 2)][: count // 2]]
    return films


def compare(films: list[bytes], network: Network) -> Iterator[tuple[UID, int, float, float, int]]:
    """(syntax, bits, relative error of a film's features, largest difference of one, of greys), at worst."""
    from pneumo_tasks.training.features.precision import relative_error

    jpegs = [decode_grey(film) for film in films]
    wanted = network.features(jpegs)
    for syntax, bits in forms():
        found = [as_trained(written(film, syntax, bits)) for film in films]
        greys = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(found, jpegs, strict=True))
        said = network.features(found) if greys else wanted  # the same pixels have the same features
        worst = max(relative_error(a, b) for a, b in zip(said, wanted, strict=True))
        yield syntax, bits, worst, float(np.abs(said - wanted).max()), greys


def rates(films: list[bytes], rounds: int = 3) -> Iterator[tuple[UID, int, float]]:
    """Films a second that one core decodes and measures, by syntax and depth."""
    for syntax, bits in forms():
        files = [written(film, syntax, bits) for film in films]
        as_trained(files[0])
        started = time.perf_counter()
        for _ in range(rounds):
            for data in files:
                inspect_bytes("film.dcm", "key", data, Limits())
        yield syntax, bits, rounds * len(files) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--weights", type=Path, default=SHARED / "vgg16_imagenet_notop.weights.h5")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.stdout.write(
        "| transfer syntax | bits | relative error | largest | grey levels |\n|---|---|---|---|---|\n"
    )
    for syntax, bits, error, largest, greys in compare(real_films(given.films), Network(given.weights)):
        sys.stdout.write(f"| {syntax.name} | {bits} | {error:.1e} | {largest:.1e} | {greys} |\n")


if __name__ == "__main__":
    main()
