"""DICOM films for the tests, written with pydicom."""

import io
import warnings

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from pneumo_tasks.films.imaging import Grey


def dicom(
    pixels: Grey | np.ndarray,
    *,
    syntax: UID = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    **tags: object,
) -> bytes:
    """A file of these pixels; ``frame`` replaces them by compressed bytes, ``tags`` any element."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    bits = pixels.dtype.itemsize * 8
    given = {
        "PatientID": "4711", "PatientName": "Doe^Jane", "PatientBirthDate": "20200101", "ViewPosition": "AP",
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": bits, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
    } | tags  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in given.items():
            if value is not None:
                setattr(dataset, name, value)
        dataset.PixelData = encapsulate([frame]) if frame is not None else pixels.tobytes()
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def jpeg_dicom(pixels: Grey, frame: bytes, **tags: object) -> bytes:
    return dicom(pixels, syntax=JPEGBaseline8Bit, frame=frame, **tags)
