import pytest
from pydicom import Dataset

from pneumo_tasks.films.views import stated_view, view_of

FRONTAL = "AP|PA|ap|Frontal|AP SUPINE|PA erect|antero-posterior|postero-anterior|AP/PORTABLE"
OTHER = "LATERAL|L LAT|LL|XTABLE LATERAL|SWIMMERS|LAO|LLO|AP OBLIQUE|left lateral"


@pytest.mark.parametrize("term", FRONTAL.split("|"))
def test_a_frontal_term_is_frontal_in_each_spelling(term: str) -> None:
    assert view_of(term) == "frontal"


@pytest.mark.parametrize("term", OTHER.split("|"))
def test_a_film_from_the_side_is_not_frontal(term: str) -> None:
    assert view_of(term) == "other"


@pytest.mark.parametrize("term", ["STENVERS", "AP ABDOMEN", "???", "12", "CHEST"])
def test_a_term_that_nobody_knows_is_unknown(term: str) -> None:
    assert view_of(term) == "unknown"


@pytest.mark.parametrize("term", ["", "  "])
def test_a_missing_term_is_not_stated(term: str) -> None:
    assert view_of(term) == "not stated"


def coded(value: str, meaning: str) -> Dataset:
    item, dataset = Dataset(), Dataset()
    item.CodeValue, item.CodeMeaning = value, meaning
    dataset.ViewCodeSequence = [item]
    return dataset


def test_a_view_code_speaks_where_there_is_no_view_position() -> None:
    assert view_of(stated_view(coded("R-10236", "left lateral"))) == "other"
    assert view_of(stated_view(coded("R-10206", ""))) == "frontal"
    assert view_of(stated_view(coded("399348003", "anything"))) == "frontal"


@pytest.mark.parametrize(
    ("orientation", "view"),
    [(["L", "F"], "frontal"), (["R", "F"], "frontal"), (["A", "F"], "other"), (["P", "FL"], "other")],
)
def test_the_orientation_of_the_patient_tells_the_view(orientation: list[str], view: str) -> None:
    dataset = Dataset()
    dataset.PatientOrientation = orientation
    assert view_of(stated_view(dataset)) == view


@pytest.mark.parametrize(
    ("description", "view"),
    [
        ("Thorax ap im Liegen", "frontal"),
        ("CHEST LATERAL", "other"),
        ("Chest PA and lateral", "not stated"),
        ("Chest", "not stated"),
    ],
)
def test_a_description_counts_where_it_names_one_view(description: str, view: str) -> None:
    dataset = Dataset()
    dataset.SeriesDescription = description
    assert view_of(stated_view(dataset)) == view
