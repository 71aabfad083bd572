"""Whatever the bytes are, the decoder's door answers with facts, and training's door with BadData."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pneumo_tasks.errors import BadData
from pneumo_tasks.films.imaging import Limits, decode_grey
from pneumo_tasks.intake.inspection import inspect_bytes
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


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PNEUMO_LONG_FUZZ"), reason="set PNEUMO_LONG_FUZZ=1: some minutes")
@settings(max_examples=20_000, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_any_bytes_end_in_facts_for_long(data: bytes) -> None:
    _knock(data)
