"""Whatever the bytes are, the decoder's door answers with facts, and training's door with BadData."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.imaging import Limits, decode_grey
from pneumo_tasks.intake.inspecting.inspection import inspect_bytes
from pneumo_tasks.intake.receiving import day_of
from tests.intake.dicoms import dicom, jpeg_dicom
from tests.intake.films import film, jpeg, png

LIMITS = Limits(max_pixels=1_000_000, max_side=4096)
SEEDS = [
    jpeg(film(1)), jpeg(film(2), progressive=True), png(film(3)), dicom(film(4)),
    dicom(film(5).astype("uint16")), jpeg_dicom(film(6), jpeg(film(6))),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real film with some bytes replaced, taken out, doubled or cut off; headers more often than pixels."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.one_of(st.integers(0, min(600, len(data) - 1)), st.integers(0, len(data) - 1)))
        new = draw(st.binary(min_size=0, max_size=6))
        data[at : at + draw(st.integers(0, 6))] = new
        if not data:
            return b""
    return bytes(data[: draw(st.sampled_from([len(data), len(data), len(data) // 2]))])


def _knock(data: bytes) -> None:
    facts = inspect_bytes("NORMAL/x", "k", data, LIMITS, b"key").facts
    decoded = facts.pixel_digest is not None
    assert not (decoded and facts.decode_error)
    if decoded and facts.format in ("JPEG", "PNG"):
        assert decode_grey(data, LIMITS).shape == (facts.height, facts.width)
    elif facts.format in ("JPEG", "PNG"):
        with pytest.raises(BadData):
            decode_grey(data, LIMITS)


@settings(max_examples=300, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(mutated(), st.binary(max_size=2000)))
def test_any_bytes_end_in_facts(data: bytes) -> None:
    _knock(data)


DICOMS = [dicom(film(4), StudyDate="20261120"), dicom(film(5), StudyDate="20261120", Modality="DX")]


@st.composite
def mutated_header(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(DICOMS)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(132, 700))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(mutated_header(), st.binary(max_size=2000)))
def test_the_study_day_of_any_bytes_is_a_day_or_none(data: bytes) -> None:
    day = day_of(data, 10**6)
    assert day == "" or (len(day) == 8 and day.isdigit())


@pytest.mark.parametrize("said", [b"\0\0\0\0\0\0\0\0", b"\xff" * 8, b"20261332", b"2026112\xb2", b"../../.."])
def test_a_study_date_that_is_none_is_no_day(said: bytes) -> None:
    data = dicom(film(4), StudyDate="20261120").replace(b"20261120", said)
    assert day_of(data, 10**6) == ""


def test_a_study_date_of_a_kind_that_dicom_does_not_know_is_no_day() -> None:
    """pydicom raises NotImplementedError, and only when the element is asked for."""
    data = dicom(film(4), StudyDate="20261120").replace(b"DA\x08\x0020261120", b"DO\x08\x0020261120")
    assert day_of(data, 10**6) == ""


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PNEUMO_LONG_FUZZ"), reason="set PNEUMO_LONG_FUZZ=1: some minutes")
@settings(max_examples=20_000, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_any_bytes_end_in_facts_for_long(data: bytes) -> None:
    _knock(data)
