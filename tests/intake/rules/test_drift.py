"""Drift as arrays and frames; the figures of the public data are in docs/intake-limits.md."""

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.intake.rules.adversarial import adversarial_auc, control_auc, standardised
from pneumo_tasks.intake.rules.drift import (
    coarse_stability,
    kolmogorov_smirnov,
    measure_drift,
    population_stability,
)
from tests.intake.films import film


def thumbnails(count: int, seed: int, shift: int = 0) -> list[bytes]:
    return [np.roll(film(seed + n, side=32), shift, axis=0).tobytes() for n in range(count)]


def frame(count: int, seed: int, shift: int = 0, brighter: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "label": "NORMAL",
            "patient": [f"p:{seed}-{n // 2}" for n in range(count)],
            "thumbnail": thumbnails(count, seed, shift),
            "grey_mean": random.normal(120 + brighter, 10, count),
            "grey_deviation": random.normal(50, 5, count),
            "clipped_share": random.uniform(0, 0.1, count),
            "width": 96, "height": 96, "bytes": random.integers(3000, 4000, count),
        }
    )  # fmt: skip


def test_films_framed_otherwise_are_told_apart_and_random_patients_are_not() -> None:
    # Dark rims are what these drawn films share; turning them on their side moves the rims.
    known = standardised(thumbnails(200, 0))
    turned = known[:60].reshape(-1, 32, 32).transpose(0, 2, 1).reshape(60, -1)
    patients = [f"p{n // 2}" for n in range(200)]
    assert adversarial_auc(turned, known[60:], patients[:60], patients[60:]) > 0.95
    assert adversarial_auc(known[:60], known[60:], patients[:60], patients[60:]) == pytest.approx(
        0.5, abs=0.15
    )
    assert control_auc(known, patients, 60) == pytest.approx(0.5, abs=0.1)


def test_brightness_and_contrast_are_not_what_thumbnails_are_asked_for() -> None:
    one = np.frombuffer(thumbnails(1, 0)[0], np.uint8) // 2
    dimmer = (one // 2 + 20).astype(np.uint8)
    assert np.allclose(standardised([one.tobytes()]), standardised([dimmer.tobytes()]), atol=0.05)


def test_a_patient_alone_on_one_side_cannot_be_judged() -> None:
    rows = standardised(thumbnails(20, 0))
    with pytest.raises(ValueError, match="two patients"):
        adversarial_auc(rows[:5], rows[5:], ["p1"] * 5, [f"q{n}" for n in range(15)])


def test_population_stability_is_nothing_for_the_same_values_and_large_for_shifted_ones() -> None:
    values = np.random.default_rng(1).normal(size=2000)
    assert population_stability(values, values) == pytest.approx(0.0, abs=1e-9)
    assert population_stability(values, values + 1) > 0.5
    assert kolmogorov_smirnov(values, values + 1) > 0.3


def test_a_fact_that_never_varies_does_not_break_the_index() -> None:
    assert np.isfinite(population_stability(np.ones(100), np.ones(50)))
    assert np.isfinite(population_stability(np.ones(100), np.zeros(50)))


def test_drift_names_the_fact_that_moved_and_says_what_chance_gives() -> None:
    drift = measure_drift(frame(80, 1000, brighter=30), frame(200, 0))
    assert drift is not None
    assert (drift.psi_fact, drift.ks_fact) == ("grey_mean", "grey_mean")
    assert drift.psi > 0.25
    assert drift.control == pytest.approx(0.5, abs=0.1)


def test_too_few_films_are_not_compared() -> None:
    assert measure_drift(frame(49, 1000), frame(200, 0)) is None
    assert measure_drift(frame(60, 1000).assign(patient="one"), frame(200, 0)) is None


def test_drift_names_what_was_stated_otherwise_and_nothing_stated_is_a_word() -> None:
    ages = ["1 to 4", None, "5 to 17", None]
    known, new = (
        frame(200, 0).assign(age_band=ages * 50),
        frame(80, 1000).assign(age_band=ages * 20, sex="male"),
    )
    same = coarse_stability(known, new.drop(columns="sex"))
    assert same == {"age_band": pytest.approx(0.0, abs=1e-9)}
    drift = measure_drift(new, known)
    assert drift is not None
    assert (drift.coarse_fact, drift.psi_fact != "sex") == ("sex", True)
    assert drift.coarse_psi > 0.25


def test_another_month_is_no_drift_and_another_priority_is() -> None:
    known = frame(200, 0).assign(month="May", priority="routine")
    found = coarse_stability(known, frame(80, 1000).assign(month="June", priority="urgent"))
    assert list(found) == ["priority"]
    assert found["priority"] > 0.25


def test_dozens_of_devices_of_a_film_each_are_no_drift() -> None:
    random = np.random.default_rng(3)
    known, new = (
        frame(count, seed).assign(device=[f"MAKER {n}" for n in random.integers(0, 40, count)])
        for count, seed in ((400, 0), (200, 1000))
    )
    assert coarse_stability(known, new)["device"] < 0.25


def test_facts_that_nobody_states_are_not_compared() -> None:
    drift = measure_drift(frame(80, 1000).assign(sex=None), frame(200, 0))
    assert drift is not None
    assert (drift.coarse_fact, drift.coarse_psi) == ("", 0.0)
