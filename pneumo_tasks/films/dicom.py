"""DICOM: the pixels as a reader would see them, a pseudonym, the view, and nothing else."""

import hashlib
import hmac
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.dicom_files import DicomFile, refusing
from pneumo_tasks.films.imaging import Grey

_INVERTED = "MONOCHROME1"


@dataclass(frozen=True)
class Film:
    """A decoded DICOM film: ``grey`` uint8 (H, W), the pseudonym ("" without an id or a key), the view."""

    grey: Grey
    pseudonym: str
    view: str


def decode_dicom(file: DicomFile, key: bytes | None) -> Film:
    """Rescale, window and, for MONOCHROME1, invert; ``key`` makes the pseudonym of the PatientID.

    The window is the file's first one (PS3.3 C.11.2); without one, the range of the stored bits.
    The caller has checked the header's size. BadData where a pixel cannot be decoded.
    """
    from pydicom import dcmread

    if file.header.mode != "grey":
        raise BadData("a colour DICOM image", do="Export the film as grey.")
    with refusing("DICOM pixels that cannot be decoded"):
        dataset = dcmread(io.BytesIO(file.data))
        stored = dataset.pixel_array
        if stored.shape != (file.header.height, file.header.width):
            raise BadData("two headers in one file", found=f"{stored.shape[::-1]} and {file.header}")
        lowest, table = _grey_table(file.dataset)
        grey: Grey = np.take(table, stored.astype(np.int32) - lowest, mode="clip")
    with refusing("a damaged DICOM header"):
        patient = str(file.dataset.get("PatientID") or "").strip()
        view = str(file.dataset.get("ViewPosition") or "").strip().upper()[:16]
    return Film(grey, pseudonym(patient, key), view)


def pseudonym(patient: str, key: bytes | None) -> str:
    """24 hexadecimal digits of the HMAC-SHA256 of the id; "" without an id or without a key."""
    return hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()[:24] if key and patient else ""


def _grey_table(dataset: Any) -> tuple[int, Grey]:
    """The grey level of every value that the stored bits can hold, and the lowest such value.

    A table instead of arithmetic on the film: at most 65,536 entries, whatever the film's size.
    """
    bits, signed = int(dataset.BitsStored), bool(dataset.get("PixelRepresentation"))
    lowest = -(2 ** (bits - 1)) if signed else 0
    values = np.arange(lowest, lowest + 2**bits, dtype=np.int32)
    scaled = _windowed(dataset, values)
    if dataset.PhotometricInterpretation == _INVERTED:
        scaled = 1.0 - scaled
    return lowest, np.round(scaled * 255).astype(np.uint8)


def _windowed(dataset: Any, values: NDArray[np.int32]) -> NDArray[np.float64]:
    """0 to 1: the modality's rescale, then the window or table for display."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    rescaled = np.asarray(apply_modality_lut(values, dataset))
    low, high = float(rescaled.min()), float(rescaled.max())
    if dataset.get("VOILUTSequence"):
        shown = np.asarray(apply_voi_lut(rescaled.astype(np.int64), dataset, prefer_lut=True), float)
        low, high = float(shown.min()), float(shown.max())
    elif dataset.get("WindowWidth") and dataset.get("WindowCenter"):
        # pydicom knows linear and sigmoid windows, and maps them onto the range of the rescaled bits.
        shown = np.asarray(apply_voi_lut(rescaled, dataset, prefer_lut=False), float)
    else:
        shown = rescaled.astype(float)
    return np.clip((shown - low) / max(high - low, 1e-9), 0.0, 1.0)
