import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.evaluation.figures import bootstrap, intervals
from pneumo_tasks.evaluation.figures.clustering import kish_effect, patients_of_each_class, share_effect
from pneumo_tasks.evaluation.figures.metrics import compute_metrics


def interval_of(missed: np.ndarray, patients: np.ndarray) -> intervals.Interval:
    """Recall's interval where every film is ill but those of one healthy patient."""
    positive = np.r_[np.ones(len(missed), bool), np.zeros(2, bool)]
    probability = np.where(np.r_[missed, [True, True]], 0.1, 0.9)
    names = pd.Series([*map(str, patients), "healthy", "healthy"])
    resampled = bootstrap.resample(names, positive, probability, 0.5, 500, seed=7)
    test = compute_metrics(positive, probability, 0.5)
    found = intervals.intervals(test, resampled.replicates, resampled.worst)["recall"]
    assert found is not None
    return found


def test_where_no_film_is_missed_patients_are_counted_not_films() -> None:
    found = interval_of(np.zeros(200, bool), np.repeat(np.arange(10), 20))
    assert found.low == pytest.approx(intervals.wilson(1, 10).low)
    assert found.low == pytest.approx(0.72, abs=0.01)


def test_where_every_film_is_missed_patients_are_counted_too() -> None:
    found = interval_of(np.ones(200, bool), np.repeat(np.arange(10), 20))
    assert found.high == pytest.approx(intervals.wilson(0, 10).high)


def test_with_one_film_a_patient_films_are_counted() -> None:
    found = interval_of(np.zeros(200, bool), np.arange(200))
    assert found.low == pytest.approx(intervals.wilson(1, 200).low)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_the_worst_effect_lies_between_one_and_the_films_of_the_largest_patient(codes: list[int]) -> None:
    effect = kish_effect(np.array(codes))
    assert 1 <= effect <= np.bincount(codes).max()


@given(st.floats(0, 1), st.integers(1, 500), st.floats(0, 0.25), st.floats(1, 20))
def test_no_design_effect_is_below_one(share: float, films: int, variance: float, worst: float) -> None:
    assert share_effect(share, films, variance, worst) >= 1


def test_patients_are_counted_once_a_class() -> None:
    scores = pd.DataFrame({"label": ["NORMAL", "PNEUMONIA", "PNEUMONIA"], "patient": ["a", "b", "b"]})
    assert patients_of_each_class(scores) == {"NORMAL": 1, "PNEUMONIA": 1}
    assert patients_of_each_class(scores.iloc[:1]) == {"NORMAL": 1, "PNEUMONIA": 0}
