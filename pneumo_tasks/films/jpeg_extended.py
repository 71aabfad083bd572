"""JPEG Extended of 12 bits, which GDCM decodes although pydicom does not ask it to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData

_PIXEL_DATA = (0x7FE0, 0x0010)


def decode_extended(frame: bytes, dataset: Any) -> NDArray[np.uint16]:
    """uint16 (H, W) of one frame; ``dataset`` has the elements that describe the pixels.

    Raises BadData where the frame cannot be decoded, or is not of the size that the file says.
    """
    import gdcm

    rows, columns, stored = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsStored)
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(frame)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, 0))
    pixels = image.GetBuffer().encode("utf-8", "surrogateescape")
    if len(pixels) != rows * columns * 2:
        raise BadData("pixels missing or too many", found=f"{len(pixels)} bytes for {rows * columns * 2}")
    return np.frombuffer(pixels, "<u2").reshape(rows, columns)
