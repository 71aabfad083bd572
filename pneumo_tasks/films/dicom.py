"""DICOM: the pixels as a reader would see them, a pseudonym, the view, and nothing else."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.circumstances import Circumstances, read_circumstances
from pneumo_tasks.films.depth import counts_of
from pneumo_tasks.films.dicom_files import EXTENDED, DicomFile, refusing
from pneumo_tasks.films.dicom_patients import Owner, read_owner
from pneumo_tasks.films.display import grey_levels
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.films.jpeg_extended import decode_extended
from pneumo_tasks.films.views import stated_view


@dataclass(frozen=True)
class Film:
    """A decoded DICOM film: ``grey`` uint8 (H, W), whose it is, the view, and how it came about."""

    grey: Grey
    owner: Owner
    view: str
    circumstances: Circumstances


def decode_dicom(file: DicomFile, key: bytes | None, form: Callable[[str], str] = str) -> Film:
    """Decode, rescale, window and, for MONOCHROME1, invert; ``key`` makes the pseudonym of the PatientID.

    ``form`` gives the one form of an id.

    The caller has checked the header's size. BadData where a pixel cannot be decoded.
    """
    if file.header.mode != "grey":
        raise BadData("a colour DICOM image", do="Export the film as grey.")
    with refusing("DICOM pixels that cannot be decoded"):
        stored = _stored_pixels(file)
        if stored.shape != (file.header.height, file.header.width):
            raise BadData("two headers in one file", found=f"{stored.shape[::-1]} and {file.header}")
        bits = file.header.bits
        lowest = -(2 ** (bits - 1)) if file.dataset.get("PixelRepresentation") else 0
        places = np.clip(stored.astype(np.int32) - lowest, 0, 2**bits - 1).astype(np.uint16)
        table = grey_levels(file.dataset, lowest, counts_of(places)[: 2**bits])
        grey: Grey = table[places]
    with refusing("a damaged DICOM header"):
        owner = read_owner(file.dataset, key, form)
        return Film(grey, owner, stated_view(file.dataset), read_circumstances(file.dataset))


def _stored_pixels(file: DicomFile) -> NDArray[Any]:
    """The stored values; where the high bit is not the top of the stored bits, shifted down to it."""
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(file.data))
    if dataset.file_meta.TransferSyntaxUID == EXTENDED and int(dataset.BitsAllocated) == 16 and file.frame:
        return decode_extended(file.frame, dataset)
    bits, high = file.header.bits, int(dataset.get("HighBit", file.header.bits - 1))
    if high == bits - 1:
        return np.asarray(dataset.pixel_array)
    allocated, shift = int(dataset.BitsAllocated), high - bits + 1
    if not 0 <= shift <= allocated - bits or file.compressed:
        raise BadData("an impossible high bit", found=f"{high} for {bits} stored bits of {allocated}")
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = allocated, allocated - 1, 0
    raw = (np.asarray(dataset.pixel_array).astype(np.int32) >> shift) & (2**bits - 1)
    signed = bool(file.dataset.get("PixelRepresentation"))
    return np.asarray(np.where(raw >= 2 ** (bits - 1), raw - 2**bits, raw) if signed else raw)
