"""One person has one key, however a spreadsheet, a keyboard or an archive spells it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.intake.sent.patients import (
    MAX_ID,
    canonical,
    canonical_key,
    compiled,
    from_column,
    from_file_name,
    id_fault,
)
from pneumo_tasks.settings import PUBLIC_PATIENT_PATTERN


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0012", "12"),
        ("P12", "p12"),
        ("p 12", "P12"),
        ("１２", "12"),
        ("١٢", "12"),
        ("12\u200b", "12"),
        ("\ufeff12", "12"),
        ("ab\u00adc", "abc"),
        ("Müller", "Mu\u0308ller"),
        ("12\u00a0", "12"),
        ("000", "0"),
    ],
)
def test_spellings_of_one_id_are_one_patient(one: str, other: str) -> None:
    assert from_column(one) == from_column(other)


@pytest.mark.parametrize(("one", "other"), [("12", "120"), ("P012", "P12"), ("1-2", "12"), ("a", "b")])
def test_different_ids_stay_different(one: str, other: str) -> None:
    assert from_column(one) != from_column(other)


def test_the_site_is_in_the_key_always_or_never() -> None:
    assert str(from_column("12", "North")) == str(from_column("12", " north ")) == "north:12"
    assert str(from_column("12")) == "patient:12"


@given(st.text(max_size=80))
def test_the_canonical_form_is_a_form_and_can_be_written_down(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    key = from_column(text)
    if key is None:
        assert id_fault(text) or not canonical(text)
    else:
        str(key).encode()
        assert canonical_key(str(key)) == str(key)


@pytest.mark.parametrize("text", ["9" * 5000, "a" * (MAX_ID + 1), "\ud800", "\u200b\u200b"])
def test_an_id_that_cannot_be_used_says_why(text: str) -> None:
    assert id_fault(text)
    assert from_column(text) is None


def test_a_fault_never_shows_the_id() -> None:
    assert "secret" not in str(id_fault("secret" * 20))


def test_names_of_the_public_set_have_families() -> None:
    pattern = compiled(PUBLIC_PATIENT_PATTERN)
    keys = [
        str(from_file_name(name, pattern))
        for name in ("person0007_virus_1.jpeg", "person7_bacteria_2.jpeg", "NORMAL2-IM-0007-0001.jpeg")
    ]
    assert keys == ["person-virus:7", "person-bacteria:7", "normal2-im:7"]
