import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadData
from pneumo_tasks.evaluation.operating_point import choose_operating_point

_SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=60)


def test_the_highest_threshold_that_keeps_the_recall_is_chosen() -> None:
    positive = np.array([True] * 5 + [False] * 3)
    probability = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.65, 0.3, 0.1])
    point = choose_operating_point(positive, probability, 0.8)
    assert point.threshold == pytest.approx((0.6 + 0.3) / 2)
    assert point.validation.recall == pytest.approx(0.8)
    assert point.validation.precision == pytest.approx(4 / 5)


@given(_SCORES, _SCORES, st.floats(0.01, 1.0))
def test_the_target_is_met_and_no_higher_score_would_meet_it(
    positives: list[float], negatives: list[float], target: float
) -> None:
    positive = np.array([True] * len(positives) + [False] * len(negatives))
    probability = np.array(positives + negatives)
    point = choose_operating_point(positive, probability, target)
    found = np.array(positives) >= point.threshold
    assert found.mean() >= target - 1e-9
    higher = [score for score in positives if score > min(np.array(positives)[found])]
    assert len(higher) / len(positives) < target


def test_ties_are_not_split() -> None:
    point = choose_operating_point(np.array([True] * 4 + [False]), np.array([1, 1, 1, 1, 0.0]), 0.5)
    assert point.validation.recall == 1.0


@pytest.mark.parametrize(
    ("positive", "probability"),
    [([True, True], [0.5, 0.6]), ([False, False], [0.5, 0.6]), ([True, False], [np.nan, 0.6])],
    ids=["no normals", "no pneumonias", "not finite"],
)
def test_validation_that_cannot_choose_is_refused(positive: list[bool], probability: list[float]) -> None:
    with pytest.raises(BadData, match="no operating point"):
        choose_operating_point(np.array(positive), np.array(probability), 0.96)
