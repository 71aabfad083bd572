import math

import pytest

from pneumo_tasks.monitoring.updates import DECAY, update_measures
from tests.monitoring.measured import films, measured

ILL, WELL = "PNEUMONIA", "NORMAL"


def test_the_three_numbers_are_those_of_the_literature() -> None:
    """The old model has its own films right, half of the new ones; the new model the other way round."""
    first = measured(
        "v1",
        films("held out", "b1", ("a", ILL, 0.9), ("b", ILL, 0.8), ("c", WELL, 0.1)),
        films("unseen", "b2", ("d", ILL, 0.9), ("e", ILL, 0.2), ("f", WELL, 0.1)),
    )
    second = measured(
        "v2",
        films("held out", "b1", ("a", ILL, 0.9), ("b", ILL, 0.2), ("c", WELL, 0.1)),
        films("held out", "b2", ("d", ILL, 0.9), ("e", ILL, 0.9), ("f", WELL, 0.9)),
    )
    found = update_measures([first, second])
    assert found["v1"] is None
    update = found["v2"]
    assert update is not None
    assert (update.before, update.films) == ("v1", 3)
    assert update.learning == {"recall": 0.5, "specificity": -1.0}
    assert update.potential == {
        "recall": 0.5,
        "specificity": 0.0,
    }  # the new films were harder for the old model
    assert update.retention == {"recall": 0.5, "specificity": 1.0}
    assert update.sentence == "learning +0.500, potential +0.500, retention +0.500 (recall)"


def test_retention_weighs_older_films_less() -> None:
    old = films("held out", "b1", ("a", ILL, 0.9))
    young = films("held out", "b2", ("b", ILL, 0.9))
    missed = films("held out", "b1", ("a", ILL, 0.1))
    third = measured("v3", missed, young, films("held out", "b3", ("c", ILL, 0.9)))
    found = update_measures([measured("v1", old), measured("v2", old, young), third])["v3"]
    assert found is not None
    weight = math.exp(-DECAY)
    assert found.retention["recall"] == pytest.approx(1 / (1 + weight))


def test_a_candidate_is_measured_against_the_version_before_it_and_nobody_against_the_candidate() -> None:
    own = films("held out", "b1", ("a", ILL, 0.9))
    candidate = measured("v2", own, films("held out", "b2", ("b", ILL, 0.9)), registered=False)
    third = measured("v3", own, films("held out", "b2", ("b", ILL, 0.9)))
    found = update_measures([measured("v1", own), candidate, third])
    assert [one and one.before for one in found.values()] == [None, "v1", "v1"]


def test_where_nothing_new_was_learned_there_is_nothing_to_compare() -> None:
    own = films("held out", "b1", ("a", ILL, 0.9))
    found = update_measures([measured("v1", own), measured("v2", own)])["v2"]
    assert found is not None
    assert (found.films, found.learning["recall"], found.potential["recall"]) == (0, None, None)
    assert found.retention["recall"] == 1.0
