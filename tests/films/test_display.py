"""Grey levels of DICOM films: by the standard, compared with pydicom where pydicom follows it."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from pneumo_tasks.films.dicom import decode_dicom
from pneumo_tasks.films.dicom_files import open_dicom
from pneumo_tasks.films.imaging import Grey
from tests.intake.dicoms import dicom
from tests.intake.films import film

FILM = film(1)
DEEP = FILM.astype(np.uint16) * 16 + 7  # 12-bit values
TWELVE = {"BitsStored": 12, "HighBit": 11}


def shown(data: bytes) -> Grey:
    return decode_dicom(open_dicom(data), None).grey


def expected(levels: np.ndarray) -> Grey:
    return np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)


def linear(values: np.ndarray, centre: float, width: float) -> Grey:
    return expected((values.astype(float) - (centre - 0.5)) / (width - 1) + 0.5)


def table(entries: list[int], first: int = 0, bits: int = 12, **more: object) -> Sequence:
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries) % 65536, first, bits])
    item.add_new(0x00283006, "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


def test_twelve_bits_are_shown_whole() -> None:
    assert np.array_equal(shown(dicom(DEEP, **TWELVE)), FILM)


def test_the_depth_of_a_film_without_a_window_is_that_of_its_values() -> None:
    assert np.array_equal(shown(dicom(DEEP)), FILM)


def test_a_marker_burnt_in_far_above_the_film_does_not_darken_it() -> None:
    marked = DEEP.copy()
    marked[5:20, 5:20] = 65535
    found = shown(dicom(marked))
    assert (found[5:20, 5:20] == 255).all()
    assert np.array_equal(found[20:], FILM[20:])


@pytest.mark.parametrize("centre", [0, 40, -200])
def test_the_centre_of_a_window_may_be_zero_or_less(centre: int) -> None:
    values = (DEEP.astype(np.int32) - 2048).astype(np.int16)
    found = shown(dicom(values, WindowCenter=centre, WindowWidth=1500))
    assert np.array_equal(found, linear(values, centre, 1500))


def test_of_several_windows_the_first_counts() -> None:
    found = shown(dicom(DEEP, **TWELVE, WindowCenter=[2000, 300], WindowWidth=[3000, 10]))
    assert np.array_equal(found, linear(DEEP, 2000, 3000))


@pytest.mark.parametrize("function", ["LINEAR", "", "SOMETHING"])
def test_an_unknown_window_function_is_linear(function: str) -> None:
    found = shown(dicom(DEEP, **TWELVE, WindowCenter=2000, WindowWidth=3000, VOILUTFunction=function))
    assert np.array_equal(found, linear(DEEP, 2000, 3000))


def test_an_exact_window_and_a_sigmoid_follow_their_formulas() -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 3000}
    exact = shown(dicom(DEEP, **TWELVE, **window, VOILUTFunction="LINEAR_EXACT"))
    assert np.array_equal(exact, expected((DEEP - 2000.0) / 3000 + 0.5))
    sigmoid = shown(dicom(DEEP, **TWELVE, **window, VOILUTFunction="SIGMOID"))
    assert np.array_equal(sigmoid, expected(1 / (1 + np.exp(-4 * (DEEP - 2000.0) / 3000))))


def test_a_falling_rescale_is_undone_by_the_film_that_it_describes() -> None:
    rescale = {"RescaleSlope": -1, "RescaleIntercept": 4095}
    assert np.array_equal(shown(dicom(4095 - DEEP, **TWELVE, **rescale)), FILM)
    windowed = shown(dicom(4095 - DEEP, **TWELVE, **rescale, WindowCenter=2048, WindowWidth=3000))
    assert np.array_equal(windowed, linear(DEEP, 2048, 3000))


@pytest.mark.parametrize("tag", ["RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"])
def test_an_empty_display_tag_counts_as_absent(tag: str) -> None:
    assert np.array_equal(shown(dicom(DEEP, **TWELVE, **{tag: ""})), FILM)


def test_a_modality_table_is_applied_before_the_window() -> None:
    falling = [4095 - value for value in range(4096)]
    tables = {"ModalityLUTSequence": table(falling)}
    assert np.array_equal(shown(dicom(4095 - DEEP, **TWELVE, **tables)), FILM)
    found = shown(dicom(4095 - DEEP, **TWELVE, **tables, WindowCenter=2048, WindowWidth=3000))
    assert np.array_equal(found, linear(DEEP, 2048, 3000))


def test_a_display_table_of_8_bits_may_stand_in_words_or_in_bytes() -> None:
    square = np.rint(255 * (np.arange(4096) / 4095) ** 2).astype(np.uint16)
    words = shown(dicom(DEEP, **TWELVE, VOILUTSequence=table(list(square), bits=8)))
    assert np.array_equal(words, square[DEEP])
    packed = table(list(square), bits=8)
    packed[0].add_new(0x00283006, "OW", square.astype(np.uint8).tobytes())
    assert np.array_equal(shown(dicom(DEEP, **TWELVE, VOILUTSequence=packed)), square[DEEP])


def test_a_table_that_contradicts_its_description_counts_as_absent() -> None:
    short = table([0, 1, 2])
    short[0].LUTDescriptor = [4096, 0, 12]
    assert np.array_equal(shown(dicom(DEEP, **TWELVE, VOILUTSequence=short)), FILM)


@pytest.mark.parametrize("polarity", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_in_either_polarity(polarity: str) -> None:
    padded = DEEP.copy()
    padded[:10] = 4095
    found = shown(
        dicom(padded, **TWELVE, PhotometricInterpretation=polarity, PixelPaddingValue=struct.pack("<H", 4095))
    )
    assert not found[:10].any()
    rest = FILM if polarity == "MONOCHROME2" else 255 - FILM
    assert np.abs(found[10:].astype(int) - rest[10:]).max() <= 1


def test_stored_bits_at_the_top_of_the_word_are_shifted_down() -> None:
    assert np.array_equal(shown(dicom(DEEP << 4, BitsStored=12, HighBit=15)), FILM)


@given(
    values=st.lists(st.integers(0, 4095), min_size=4, max_size=64),
    centre=st.floats(-5000, 5000),
    width=st.floats(1, 9000),
    windowed=st.booleans(),
    inverted=st.booleans(),
)
def test_display_is_monotone_in_the_stored_values(
    values: list[int], centre: float, width: float, windowed: bool, inverted: bool
) -> None:
    pixels = np.array([values] * 2, np.uint16)
    tags: dict[str, object] = {"PhotometricInterpretation": "MONOCHROME1" if inverted else "MONOCHROME2"}
    if windowed:
        tags |= {"WindowCenter": f"{centre:.6g}", "WindowWidth": f"{width:.6g}"}
    found = shown(dicom(pixels, **TWELVE, **tags))[0].astype(int)
    steps = np.diff(found[np.argsort(pixels[0], kind="stable")])
    assert (steps <= 0).all() if inverted else (steps >= 0).all()


@pytest.mark.parametrize("window", [(2000, 3000), (1000, 400), (3500, 7000)])
def test_a_linear_window_is_that_of_pydicom(window: tuple[int, int]) -> None:
    data = dicom(
        DEEP, **TWELVE, WindowCenter=window[0], WindowWidth=window[1], RescaleSlope=1, RescaleIntercept=0
    )
    dataset = dcmread(io.BytesIO(data))
    theirs = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset) / 4095
    assert np.abs(shown(data).astype(float) - theirs * 255).max() <= 1
