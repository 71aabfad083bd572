from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.training.features.examples import mean_of
from pneumo_tasks.training.fitting.stage_choice import ASKED, choose_stage

RNG = np.random.default_rng(0)
ILL = np.arange(60) % 2 == 1


@pytest.fixture
def place() -> Any:
    rows = pd.DataFrame(
        {
            "sha256": [f"{number:03d}" for number in range(60)],
            "label": np.where(ILL, "PNEUMONIA", "NORMAL"),
            "split": "validation",
        }
    )
    return SimpleNamespace(rows=rows)


def _scores(ill: Any, noise: float) -> Any:
    return np.clip(0.5 + 0.2 * np.where(ill, 1, -1) + RNG.normal(0, noise, len(ill)), 0.01, 0.99)


def _reframed(place: Any, noise: float) -> Any:
    sample = place.rows.groupby("label", group_keys=False).head(100)
    return _scores(np.tile(sample["label"] == "PNEUMONIA", len(ASKED)), noise)


def test_fine_tuning_that_gains_only_where_films_are_framed_alike_is_not_exported(place: Any) -> None:
    choice = choose_stage(
        place, _scores(ILL, 0.2), _scores(ILL, 0.02), _reframed(place, 0.1), _reframed(place, 0.4)
    )
    assert choice.fine_tuned.validation > choice.head.validation
    assert choice.exported == "head"


def test_fine_tuning_that_gains_on_both_is_exported(place: Any) -> None:
    choice = choose_stage(
        place, _scores(ILL, 0.2), _scores(ILL, 0.02), _reframed(place, 0.3), _reframed(place, 0.05)
    )
    assert choice.exported == "fine_tuned"
    assert (choice.films, choice.reframed_films) == (60, 120)


def test_fine_tuning_that_loses_on_films_as_they_are_is_not_exported(place: Any) -> None:
    choice = choose_stage(
        place, _scores(ILL, 0.02), _scores(ILL, 0.4), _reframed(place, 0.3), _reframed(place, 0.05)
    )
    assert choice.exported == "head"


def test_the_mean_of_both_is_exported_where_it_is_the_best(place: Any) -> None:
    choice = choose_stage(
        place, _scores(ILL, 0.2), _scores(ILL, 0.2), _reframed(place, 0.25), _reframed(place, 0.25)
    )
    assert choice.mean.reframed > max(choice.head.reframed, choice.fine_tuned.reframed)
    assert choice.exported == "mean"


def test_of_equals_the_head_stays(place: Any) -> None:
    scores, reframed = _scores(ILL, 0.2), _reframed(place, 0.25)
    assert choose_stage(place, scores, scores, reframed, reframed).exported == "head"


def test_a_mean_is_that_of_the_logits() -> None:
    np.testing.assert_allclose(mean_of(np.array([0.9]), np.array([0.1])), [0.5])
    assert mean_of(np.array([0.999]), np.array([0.5]))[0] == pytest.approx(0.969, abs=1e-3)
    assert np.isfinite(mean_of(np.array([1.0]), np.array([0.0]))).all()
