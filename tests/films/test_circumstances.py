import pytest
from pydicom import Dataset

from pneumo_tasks.films.circumstances import (
    age_band,
    device_of,
    month_of,
    priority_of,
    read_circumstances,
    sex_of,
    side_of,
)


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("0", "under 1"), ("011M", "under 1"), ("012M", "1 to 4"), ("003W", "under 1"), ("1", "1 to 4"),
        ("4", "1 to 4"), ("005Y", "5 to 17"), ("17.0", "5 to 17"), ("18", "18 to 39"), ("64 y", "40 to 64"),
        ("99", "65 and over"), ("40 to 64", "40 to 64"), ("", ""), ("old", ""), ("300", ""), ("-3", ""),
    ],
)  # fmt: skip
def test_an_age_is_a_band(text: str, band: str) -> None:
    assert age_band(text) == band


@pytest.mark.parametrize(("text", "sex"), [("M", "male"), ("weiblich", ""), ("W", "female"), ("O", "other")])
def test_a_sex_is_a_word(text: str, sex: str) -> None:
    assert sex_of(text) == sex


def test_a_device_has_one_spelling_and_no_end_of_letters() -> None:
    assert device_of(" Siemens  Fluorospot ") == device_of("SIEMENS fluorospot") == "SIEMENS FLUOROSPOT"
    assert len(device_of("x" * 500)) == 48


def test_a_birth_date_counts_with_the_date_of_the_study_alone() -> None:
    dataset = Dataset()
    dataset.PatientBirthDate, dataset.PatientSex, dataset.Manufacturer = "20200101", "F", "Acme"
    said = {word: value for word, value in vars(read_circumstances(dataset)).items() if value}
    assert said == {"sex": "female", "device": "ACME"}
    dataset.StudyDate = "20240101"
    assert read_circumstances(dataset).age_band == "1 to 4"
    dataset.StudyDate = "19990101"
    assert read_circumstances(dataset).age_band == ""


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("20260503", "May"), ("2026-05-03", "May"), ("2026-05-03T11:20:00", "May"), ("2026-12", "December"),
        ("03.05.2026", "May"), ("may", "May"), ("03/05/2026", ""), ("20261303", ""), ("", ""), ("soon", ""),
    ],
)  # fmt: skip
def test_a_date_is_a_month_without_its_year(text: str, month: str) -> None:
    assert month_of(text) == month


def test_side_and_priority_are_words_or_not_stated() -> None:
    assert [side_of(text) for text in ("R", "left", "B", "U", "north")] == [
        "right",
        "left",
        "both",
        "unpaired",
        "",
    ]
    said = [priority_of(text) for text in ("STAT", "High", "ROUTINE", "LOW", "Dr Smith's")]
    assert said == ["urgent", "high", "routine", "low", ""]


def test_a_header_states_month_side_and_priority() -> None:
    dataset = Dataset()
    dataset.StudyDate, dataset.ImageLaterality, dataset.RequestedProcedurePriority = "20240131", "L", "STAT"
    found = read_circumstances(dataset)
    assert (found.month, found.laterality, found.priority) == ("January", "left", "urgent")
