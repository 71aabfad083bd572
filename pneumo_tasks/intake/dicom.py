"""DICOM: the pixels as a reader would see them, a pseudonym, the view, and nothing else."""

import hashlib
import hmac
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData, PneumoError
from pneumo_tasks.image_headers import Header
from pneumo_tasks.imaging import Grey, Limits

_INVERTED = "MONOCHROME1"


@dataclass(frozen=True)
class Film:
    """A decoded DICOM film: ``grey`` uint8 (H, W), the pseudonym ("" without an id or a key), the view."""

    header: Header
    grey: Grey
    pseudonym: str
    view: str


def read_dicom_header(data: bytes) -> Header:
    """Rows, columns, bits and colour model; BadData where the file is damaged or no single film."""
    dataset = _dataset(data, pixels=False)
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
    width, height = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
    if frames != 1 or not width or not height:
        raise BadData("not a single film", found=f"{frames} frames of {width}x{height}")
    mode = "grey" if samples == 1 else "rgb"
    return Header("DICOM", mode, int(dataset.get("BitsStored") or 8), width, height)


def decode_dicom(data: bytes, limits: Limits, key: bytes | None) -> Film:
    """Rescale, window and, for MONOCHROME1, invert; ``key`` makes the pseudonym of the PatientID.

    The window is the file's first one (PS3.3 C.11.2.1.2); without one, the range of the stored
    bits. BadData where a pixel cannot be decoded.
    """
    header = read_dicom_header(data)
    limits.check(len(data), header)
    dataset = _dataset(data, pixels=True)
    if header.mode != "grey":
        raise BadData("a colour DICOM image", do="Export the film as grey.")
    with _refusing("DICOM pixels that cannot be decoded"):
        grey = _windowed(dataset)
    patient = str(dataset.get("PatientID") or "").strip()
    pseudonym = hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()[:24] if key and patient else ""
    return Film(header, grey, pseudonym, str(dataset.get("ViewPosition") or "").strip().upper())


def _dataset(data: bytes, pixels: bool) -> Any:
    import pydicom

    with _refusing("a damaged DICOM file"):
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)


def _windowed(dataset: Any) -> Grey:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    stored = dataset.pixel_array
    values: NDArray[np.float64] = np.asarray(apply_modality_lut(stored, dataset), float)
    if dataset.get("VOILUTSequence"):
        values = np.asarray(apply_voi_lut(stored, dataset, prefer_lut=True), float)
        low, high = float(values.min()), float(values.max())
    elif dataset.get("WindowWidth") and dataset.get("WindowCenter"):
        width, centre = _first(dataset.WindowWidth), _first(dataset.WindowCenter)
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    else:
        slope, intercept = (
            float(dataset.get("RescaleSlope") or 1),
            float(dataset.get("RescaleIntercept") or 0),
        )
        bits, signed = int(dataset.BitsStored), bool(dataset.get("PixelRepresentation"))
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        low, high = sorted(slope * end + intercept for end in ends)
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0)
    if dataset.PhotometricInterpretation == _INVERTED:
        scaled = 1.0 - scaled
    grey: Grey = np.round(scaled * 255).astype(np.uint8)
    return grey


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__len__") else value)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn whatever pydicom raises on hostile bytes into BadData, and silence its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PneumoError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser of foreign bytes raises anything
        found = f"{type(error).__name__}: {error}"[:200]
        raise BadData(what, found=found, do="Export the film again.") from None
