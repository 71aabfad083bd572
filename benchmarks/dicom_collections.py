"""What becomes of the DICOM files that others collected: those of pydicom, and of the package pydicom-data.

Each file is judged alone by the rules on a file and on a film (the rules that compare films are left out:
the collections hold one image in many syntaxes). A film that is decoded is compared, in grey levels, with
what pydicom shows of the pixels that pydicom, gdcm and dcmtk decode; dcmtk where it is on the PATH.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from pneumo_tasks.films.dicom import decode_dicom
from pneumo_tasks.films.dicom_files import open_dicom
from pneumo_tasks.films.image_headers import sniff
from pneumo_tasks.films.imaging import Limits
from pneumo_tasks.intake.inspecting.inspection import inspect_bytes
from pneumo_tasks.intake.rules.expectations import judge
from pneumo_tasks.intake.rules.file_rules import file_rules, film_rules
from pneumo_tasks.settings import Settings

Grey = NDArray[np.uint8]
Stored = NDArray[Any]

_DCMTK = {"4.5": "dcmdjpeg", "4.7": "dcmdjpeg", "4.8": "dcmdjpls", "5": "dcmdrle", "1.99": "dcmconv"}
_FAMILY = "1.2.840.10008.1.2."


@dataclass
class Judged:
    """One file: the first rule that it breaks, None where it is accepted, and how far from other decoders."""

    file: str
    syntax: str
    rule: str | None
    value: str
    differences: dict[str, int | None] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """The rule; of a file that is not decoded, what it is instead of one film."""
        return self.value.split(" (")[0].split(". ")[0] if self.rule == "decodable" else self.rule or ""


def collections() -> dict[str, bytes]:
    """Every DICOM file of the collections that are installed, by the collection and its name in it."""
    import pydicom.data

    folders = [Path(pydicom.data.__file__).parent]
    if found := find_spec("data_store"):
        folders.append(Path(str(found.origin)).parent / "data")
    films = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            data = path.read_bytes() if path.is_file() else b""
            if path.suffix != ".py" and (sniff(data) == "DICOM" or path.suffix == ".dcm"):
                films[path.relative_to(folder).as_posix()] = data
    return films


def judge_films(films: dict[str, bytes]) -> list[Judged]:
    """Each file by the rules that need no other film; nothing raises, whatever is in it."""
    settings = Settings(min_image_side=1)
    limits = Limits.of(settings)
    found = pd.DataFrame(
        [vars(inspect_bytes(name, name, data, limits).facts) for name, data in films.items()]
    )
    facts = found.assign(
        path_fault=None, view_fault=None, patient_fault=None, label="NORMAL", suffix_fault=None
    )
    failures = judge(facts, [*file_rules(settings), *film_rules(settings)], "collections").failures
    first = failures.drop_duplicates("file").set_index("file")
    return [
        Judged(
            name,
            syntax_of(data),
            str(first.loc[name, "rule"]) if name in first.index else None,
            str(first.loc[name, "value"]) if name in first.index else "",
            differences(data) if isinstance(digest, str) else {},
        )
        for (name, data), digest in zip(films.items(), found["pixel_digest"], strict=True)
    ]


def syntax_of(data: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
            uid = dataset.file_meta.get("TransferSyntaxUID") if dataset else None
    except Exception:  # noqa: BLE001 - whatever pydicom raises, the file states no syntax
        return "cannot be read"
    if uid is None:
        return "none stated"
    return str(uid.name) if not uid.is_private else "private"


def differences(data: bytes) -> dict[str, int | None]:
    """The largest difference in grey levels to what each decoder gives; None where it cannot decode."""
    file = open_dicom(data)
    ours = decode_dicom(file, None).grey
    return {name: _difference(file.dataset, ours, decoder, data) for name, decoder in DECODERS.items()}


def _difference(
    dataset: Any, ours: Grey, decoder: Callable[[bytes], Stored | None], data: bytes
) -> int | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = decoder(data)
        if stored is None:
            return None
        seen = shown(dataset, stored, ours)
    real = np.ones(ours.shape, bool)
    if "PixelPaddingValue" in dataset:  # black for us; pydicom knows no padding
        real = stored != dataset.PixelPaddingValue
    return int(np.abs(seen[real] - ours[real].astype(int)).max(initial=0))


def shown(dataset: Any, stored: Stored, ours: Grey) -> NDArray[Any]:
    """The grey levels of stored values by pydicom's functions for the tables and windows of the standard.

    A film without a window has no grey levels of its own: there the straight line is taken that lies next to
    ours, so that what is compared are the pixels.
    """
    values = apply_modality_lut(stored, dataset).astype(float)
    tables = dataset.get("VOILUTSequence")
    window = dataset.get("WindowWidth")
    if not tables and (window in (None, "") or "ModalityLUTSequence" in dataset):
        if "ModalityLUTSequence" in dataset:
            return _polar(dataset, values / (2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1))
        return _next_line(values, ours)
    out = apply_voi_lut(values if not tables else values.astype(int), dataset).astype(float)
    if tables:
        return _polar(dataset, out / (2 ** tables[0].LUTDescriptor[2] - 1))
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope") or 1), float(dataset.get("RescaleIntercept") or 0)
    low, high = sorted((low * slope + intercept, high * slope + intercept))
    return _polar(dataset, (out - low) / (high - low))


def _polar(dataset: Any, share: NDArray[Any]) -> NDArray[Any]:
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return np.rint(np.clip(1 - share if inverted else share, 0, 1) * 255)


def _next_line(values: NDArray[Any], ours: Grey) -> NDArray[Any]:
    inside = (ours > 0) & (ours < 255)
    if np.unique(values[inside]).size < 2:
        return ours.astype(int)
    line = np.polyfit(values[inside], ours[inside].astype(float), 1)
    return np.rint(np.clip(np.polyval(line, values), 0, 255))


def by_pydicom(data: bytes) -> Stored | None:
    try:
        dataset = dcmread(io.BytesIO(data), force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = open_dicom(data).dataset.file_meta.TransferSyntaxUID
        return np.asarray(dataset.pixel_array)
    except Exception:  # noqa: BLE001 - a decoder that cannot is told as such
        return None


def by_gdcm(data: bytes) -> Stored | None:
    """What gdcm decodes; None of what it refuses, or gives in another shape than the header says."""
    import gdcm

    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.dcm"
        path.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        gdcm.Trace.WarningOff()
        gdcm.Trace.ErrorOff()
        if not reader.Read():
            return None
        image = reader.GetImage()
        form = image.GetPixelFormat()
        kind = np.dtype(f"{'i' if form.GetPixelRepresentation() else 'u'}{form.GetBitsAllocated() // 8}")
        raw = image.GetBuffer().encode("utf-8", "surrogateescape")
        shape = (image.GetDimension(1), image.GetDimension(0))
        return (
            np.frombuffer(raw, kind).reshape(shape)
            if len(raw) == shape[0] * shape[1] * kind.itemsize
            else None
        )


def by_dcmtk(data: bytes) -> Stored | None:
    """What the command of dcmtk for the syntax decodes, read as plain pixels."""
    uid = str(open_dicom(data).dataset.file_meta.TransferSyntaxUID)
    if uid.startswith(_FAMILY):
        uid = uid.removeprefix(_FAMILY)
    command = next((name for start, name in _DCMTK.items() if uid.startswith(start)), "dcmconv")
    if shutil.which(command) is None:
        return None
    with TemporaryDirectory() as folder:
        path, plain = Path(folder) / "film.dcm", Path(folder) / "plain.dcm"
        path.write_bytes(data)
        done = subprocess.run([command, "+te", str(path), str(plain)], capture_output=True, check=False)
        return by_pydicom(plain.read_bytes()) if done.returncode == 0 and plain.exists() else None


DECODERS: dict[str, Callable[[bytes], Stored | None]] = {
    "pydicom": by_pydicom,
    "gdcm": by_gdcm,
    "dcmtk": by_dcmtk,
}


def table(judged: list[Judged]) -> Iterator[str]:
    """Markdown: a line a syntax."""
    yield "| transfer syntax | files | accepted | refused, by rule | " + " | ".join(DECODERS) + " |"
    yield "|---|---|---|---|" + "---|" * len(DECODERS)
    for syntax in sorted({one.syntax for one in judged}):
        files = [one for one in judged if one.syntax == syntax]
        rules = Counter(one.why for one in files if one.rule)
        why = ", ".join(f"{name} {count}" for name, count in sorted(rules.items()))
        good = len([one for one in files if not one.rule])
        yield f"| {syntax} | {len(files)} | {good} | {why} | " + " | ".join(_furthest(files)) + " |"


def _furthest(files: list[Judged]) -> Iterator[str]:
    for name in DECODERS:
        known = [one.differences[name] for one in files if one.differences.get(name) is not None]
        yield f"{max(known)} ({len(known)})" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="a line a file")
    parser.add_argument(
        "--far", action="store_true", help="the files that differ by more than one grey level"
    )
    given = parser.parse_args()
    judged = judge_films(collections())
    if given.json:
        lines = [json.dumps(asdict(one)) for one in judged]
    elif given.far:
        lines = [
            f"{one.file}: {one.syntax}, {one.rule or 'accepted'}, {one.differences}"
            for one in judged if any((found or 0) > 1 for found in one.differences.values())
        ]  # fmt: skip
    else:
        lines = list(table(judged))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
