import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadData
from pneumo_tasks.evaluation.figures.operating_point import (
    OperatingPoint,
    calibrated,
    choose_operating_point,
    fit_temperature,
)
from pneumo_tasks.settings import Settings

_SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=60)


def choose(positive: object, probability: object, **settings: object) -> OperatingPoint:
    return choose_operating_point(
        Settings.model_construct(**({"threshold_policy": "target_recall", "target_recall": 0.96} | settings)),
        np.array(positive),
        np.array(probability),
    )


def test_the_highest_threshold_that_keeps_the_recall_is_chosen() -> None:
    probability = [0.9, 0.8, 0.7, 0.6, 0.2, 0.65, 0.3, 0.1]
    point = choose([True] * 5 + [False] * 3, probability, target_recall=0.8)
    assert point.threshold == pytest.approx((0.6 + 0.3) / 2)
    assert point.validation.recall == pytest.approx(0.8)
    assert point.validation.precision == pytest.approx(4 / 5)


@given(_SCORES, _SCORES, st.floats(0.01, 1.0))
def test_the_target_is_met_and_no_higher_score_would_meet_it(
    positives: list[float], negatives: list[float], target: float
) -> None:
    labels = [True] * len(positives) + [False] * len(negatives)
    point = choose(labels, positives + negatives, target_recall=target)
    found = np.array(positives) >= point.threshold
    assert found.mean() >= target - 1e-9
    higher = [score for score in positives if score > min(np.array(positives)[found])]
    assert len(higher) / len(positives) < target


@given(_SCORES, _SCORES)
def test_youden_maximises_recall_and_specificity(positives: list[float], negatives: list[float]) -> None:
    labels = np.array([True] * len(positives) + [False] * len(negatives))
    scores = np.array(positives + negatives)
    point = choose(labels, scores, threshold_policy="youden").validation
    assert point.recall is not None
    assert point.specificity is not None
    best = max((scores[labels] >= t).mean() + (scores[~labels] < t).mean() for t in np.unique(scores))
    assert point.recall + point.specificity == pytest.approx(best)


@given(_SCORES, _SCORES, st.floats(0.1, 50))
def test_cost_weighs_missed_cases_against_false_alarms(
    positives: list[float], negatives: list[float], price: float
) -> None:
    labels = np.array([True] * len(positives) + [False] * len(negatives))
    scores = np.array(positives + negatives)
    table = choose(labels, scores, threshold_policy="cost", missed_case_price=price).validation.confusion
    best = min(price * (scores[labels] < t).sum() + (scores[~labels] >= t).sum() for t in np.unique(scores))
    assert price * table.fn + table.fp == pytest.approx(best)


def test_a_dearer_missed_case_never_raises_the_threshold() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2 == 0
    scores = np.clip(0.5 + 0.2 * labels + random.normal(0, 0.2, 200), 0, 1)
    thresholds = [
        choose(labels, scores, threshold_policy="cost", missed_case_price=price).threshold
        for price in (0.5, 1, 2, 5, 20, 100)
    ]
    assert thresholds == sorted(thresholds, reverse=True)


def test_ties_are_not_split() -> None:
    assert choose([True] * 4 + [False], [1, 1, 1, 1, 0.0], target_recall=0.5).validation.recall == 1.0


def test_the_temperature_that_made_the_scores_overconfident_is_found() -> None:
    random = np.random.default_rng(0)
    true = random.uniform(0.02, 0.98, 20000)
    positive = random.uniform(size=20000) < true
    overconfident = calibrated(true, 1 / 2.5)
    assert fit_temperature(positive, overconfident) == pytest.approx(2.5, rel=0.05)
    assert calibrated(overconfident, 2.5) == pytest.approx(true, abs=1e-4)


@pytest.mark.parametrize(
    ("positive", "probability"),
    [([True, True], [0.5, 0.6]), ([False, False], [0.5, 0.6]), ([True, False], [np.nan, 0.6])],
    ids=["no normals", "no pneumonias", "not finite"],
)
def test_validation_that_cannot_choose_is_refused(positive: list[bool], probability: list[float]) -> None:
    with pytest.raises(BadData, match="no operating point"):
        choose(positive, probability)
