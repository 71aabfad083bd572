"""The computed margin: its laws, and by simulation that a chosen threshold passes as often as promised."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from pneumo_tasks.evaluation.figures.operating_point import choose_operating_point, point_for_test_set
from pneumo_tasks.evaluation.figures.recall_margin import (
    CHANCE,
    chance_of_passing,
    needed_recall,
    share_needed,
)
from pneumo_tasks.settings import Settings

ASKED = Settings.model_construct(threshold_policy="target_recall", target_recall=0.95, min_recall=0.95)


def drawn(patients: int, similarity: float, rng: np.random.Generator, films: float = 1.9) -> pd.DataFrame:
    """Ill films whose logits share ``similarity`` of their variance within a patient; and healthy ones."""
    names = np.repeat(np.arange(patients), rng.geometric(1 / films, patients))
    own = rng.normal(size=patients)[names]
    logit = 3 + np.sqrt(similarity) * own + np.sqrt(1 - similarity) * rng.normal(size=len(names))
    ill = pd.DataFrame({"patient": names.astype(str), "label": "PNEUMONIA", "probability": expit(logit)})
    healthy = expit(rng.normal(-3, 1, patients))
    names = [f"h{number}" for number in range(patients)]
    other = pd.DataFrame({"patient": names, "label": "NORMAL", "probability": healthy})
    return pd.concat([ill, other], ignore_index=True)


def test_the_chance_of_passing_is_that_of_counting_heads() -> None:
    assert chance_of_passing(2, 0.5, 0.5) == pytest.approx(0.75)
    assert chance_of_passing(10, 1.0, 0.95) == pytest.approx(1.0)
    assert chance_of_passing(20, 0.9, 0.95) == pytest.approx(0.9**20 + 20 * 0.9**19 * 0.1)


@given(st.integers(1, 3000), st.floats(0.05, 1.0))
def test_the_share_that_is_needed_passes_with_the_chance_and_a_smaller_one_does_not(
    trials: int, floor: float
) -> None:
    share = share_needed(trials, floor)
    assert chance_of_passing(trials, share, floor) == pytest.approx(CHANCE, abs=1e-6)
    assert chance_of_passing(trials, share * 0.999, floor) < CHANCE


def test_no_floor_needs_no_recall() -> None:
    assert share_needed(100, 0.0) == 0
    assert needed_recall(drawn(100, 0.3, np.random.default_rng(0)), 100, 0.0) == 0
    assert needed_recall(drawn(100, 0.3, np.random.default_rng(0)), 0, 0.95) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.5, 0.97), st.integers(30, 800))
def test_a_higher_floor_never_asks_for_less(seed: int, floor: float, films: int) -> None:
    held_out = drawn(300, 0.0, np.random.default_rng(seed), films=1.0)
    assert needed_recall(held_out, films, floor) <= needed_recall(held_out, films, floor + 0.02)


def test_with_many_held_out_films_it_is_what_the_protocols_check_says() -> None:
    """One film a patient: nothing clusters, and the run and the protocol count the same trials."""
    held_out = drawn(40000, 0.0, np.random.default_rng(1), films=1.0)
    assert needed_recall(held_out, 390, 0.95) == pytest.approx(share_needed(390, 0.95), abs=1.5e-3)


def test_films_of_one_patient_widen_the_margin() -> None:
    alone, alike = (drawn(2000, share, np.random.default_rng(2), films=4.0) for share in (0.0, 0.95))
    assert needed_recall(alike, 390, 0.95) > needed_recall(alone, 390, 0.95)


def test_so_few_test_films_that_nothing_is_enough_ask_for_every_case() -> None:
    assert needed_recall(drawn(10, 0.3, np.random.default_rng(3)), 5, 0.99) == 1.0


def test_the_point_says_what_it_needed_and_keeps_the_agreed_target() -> None:
    point = point_for_test_set(ASKED, drawn(1000, 0.3, np.random.default_rng(4)), 390)
    assert point.target == 0.95
    assert point.needed is not None
    assert point.needed > 0.96
    assert (point.validation.recall or 0) >= point.needed
    youden = ASKED.model_copy(update={"threshold_policy": "youden"})
    assert point_for_test_set(youden, drawn(1000, 0.3, np.random.default_rng(4)), 390).needed is None


@pytest.mark.parametrize("similarity", [0.0, 0.6])
def test_a_threshold_with_the_margin_passes_as_often_as_promised(similarity: float) -> None:
    """A test set of 203 patients, no easier than the held-out films; without the margin half would fail."""
    rng, passed, without = np.random.default_rng(5), [], []
    for _ in range(150):
        held_out, test = drawn(1200, similarity, rng), drawn(203, similarity, rng)
        scores = test.loc[test["label"] == "PNEUMONIA", "probability"]
        point = point_for_test_set(ASKED, held_out, len(scores))
        passed.append((scores >= point.threshold).mean() >= 0.95)
        ill = (held_out["label"] == "PNEUMONIA").to_numpy()
        plain = choose_operating_point(ASKED, ill, held_out["probability"].to_numpy())
        without.append((scores >= plain.threshold).mean() >= 0.95)
    assert np.mean(passed) == pytest.approx(CHANCE, abs=0.08)
    assert np.mean(without) < 0.65
