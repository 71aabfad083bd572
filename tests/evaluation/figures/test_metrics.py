import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.evaluation.figures.metrics import calibration_error, compute_metrics, predictive_values


def test_figures_follow_from_the_two_by_two_table() -> None:
    positive = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool)
    probability = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1, 0.1, 0.1, 0.1, 0.3])
    found = compute_metrics(positive, probability, 0.5)
    assert found.confusion.model_dump() == {"tp": 3, "fp": 1, "tn": 5, "fn": 1}
    assert found.recall == pytest.approx(3 / 4)
    assert found.precision == pytest.approx(3 / 4)
    assert found.specificity == pytest.approx(5 / 6)
    assert found.npv == pytest.approx(5 / 6)
    assert found.f1 == pytest.approx(3 / 4)
    assert found.accuracy == pytest.approx(0.8)
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert found.auc == pytest.approx(22 / 24)
    assert (found.images, found.positives) == (10, 4)


def test_a_score_on_the_threshold_is_called_positive() -> None:
    assert compute_metrics(np.array([True, False]), np.array([0.5, 0.49]), 0.5).accuracy == 1.0


def test_figures_without_a_denominator_are_undefined() -> None:
    found = compute_metrics(np.array([False, False]), np.array([0.1, 0.2]), 0.5)
    assert found.recall is None
    assert found.precision is None
    assert found.auc is None
    assert found.specificity == 1.0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.1])
def test_a_score_that_is_no_probability_makes_every_figure_undefined(wrong: float) -> None:
    found = compute_metrics(np.array([True, False, True]), np.array([0.9, 0.1, wrong]), 0.5)
    assert found.recall is None
    assert found.precision is None
    assert found.auc is None
    assert found.brier is None


def test_no_images_leave_every_figure_undefined() -> None:
    found = compute_metrics(np.array([], bool), np.array([]), 0.5)
    assert found.recall is None
    assert found.accuracy is None


def test_a_calibrated_score_has_no_calibration_error() -> None:
    probability = np.repeat([0.25, 0.75], 400)
    positive = np.tile([True, False, False, False], 100).tolist() + [True, True, True, False] * 100
    assert calibration_error(np.array(positive), probability) == pytest.approx(0)
    assert calibration_error(np.zeros(10, bool), np.ones(10)) == pytest.approx(1)


def test_precision_falls_with_prevalence() -> None:
    ppv, npv = predictive_values(recall=0.97, specificity=0.88, prevalence=0.1)
    assert ppv == pytest.approx(0.473, abs=1e-3)
    assert npv == pytest.approx(0.996, abs=1e-3)
    assert predictive_values(0.0, 1.0, 0.5)[0] is None


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=40), st.randoms())
def test_the_order_of_the_images_changes_nothing(images: list[tuple[bool, float]], random: object) -> None:
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (
        compute_metrics(
            np.array([label for label, _ in given]), np.array([score for _, score in given]), 0.5
        ).model_dump()
        for given in (images, shuffled)
    )
    assert first.pop("confusion") == second.pop("confusion")
    assert first == pytest.approx(second, nan_ok=True)
