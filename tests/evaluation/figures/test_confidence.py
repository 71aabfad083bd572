import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pneumo_tasks.evaluation.figures.confidence import confidence_sequence

PATIENTS = 400


def test_nothing_is_known_before_the_first_patient() -> None:
    assert confidence_sequence(0, 0) == (0.0, 1.0)


@given(trials=st.integers(1, 3000), share=st.floats(0, 1))
def test_the_interval_holds_the_estimate_and_mirrors(trials: int, share: float) -> None:
    successes = share * trials
    low, high = confidence_sequence(successes, trials)
    assert 0 <= low <= successes / trials + 1e-9
    assert successes / trials - 1e-9 <= high <= 1
    mirrored = confidence_sequence(trials - successes, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-6)


def test_more_patients_make_it_narrower() -> None:
    widths = [high - low for low, high in (confidence_sequence(0.9 * n, n) for n in (10, 100, 1000, 10_000))]
    assert widths == sorted(widths, reverse=True)


def test_a_wrong_count_is_refused() -> None:
    with pytest.raises(ValueError, match="5 successes of 4 patients"):
        confidence_sequence(5, 4)


def excluded_first(share: float, clustered: bool, years: int = 300, seed: int = 3) -> tuple[float, float]:
    """How often the truth is excluded at the worst moment: by the sequence, and by weekly Wald intervals."""
    generator = np.random.default_rng(seed)
    films = generator.binomial(4 if clustered else 1, share, (years, PATIENTS)) / (4 if clustered else 1)
    counts = films.cumsum(axis=1)
    missed_sequence = missed_fixed = 0
    z = norm.ppf(0.975)
    for history in counts:
        sequence = fixed = False
        for patients in range(20, PATIENTS + 1, 20):
            successes = float(history[patients - 1])
            low, high = confidence_sequence(successes, patients)
            sequence |= not low <= share <= high
            mean = successes / patients
            half = z * np.sqrt(max(mean * (1 - mean), 1e-12) / patients)
            fixed |= not mean - half <= share <= mean + half
        missed_sequence += sequence
        missed_fixed += fixed
    return missed_sequence / years, missed_fixed / years


@pytest.mark.parametrize("share", [0.5, 0.9, 0.96])
def test_the_truth_stays_inside_at_whatever_week_one_stops(share: float) -> None:
    sequence, fixed = excluded_first(share, clustered=False)
    assert sequence <= 0.05
    assert fixed > 0.15  # the interval that is right for one look


def test_several_films_of_a_patient_keep_the_promise() -> None:
    sequence, _ = excluded_first(0.9, clustered=True)
    assert sequence <= 0.05
