import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from pneumo_tasks.evaluation.figures.paired_bound import (
    ONE_SIDED_5_PERCENT,
    TWO_SIDED_5_PERCENT,
    films_needed,
    paired_effect,
    paired_interval,
    score_bound,
    smallest_bound,
)

_COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 400)).map(
    lambda parts: (parts[0], parts[1], parts[0] + parts[1] + parts[2])
)


# Fagerland, Lydersen & Laake, Stat. Med. 33 (2014) 2850-2875: airway hyper-responsiveness before and
# after stem cell transplantation, and complete response before and after consolidation therapy.
@pytest.mark.parametrize(
    ("gained", "lost", "pairs", "published"), [(1, 7, 21, (-0.517, -0.026)), (6, 16, 161, (-0.124, -0.005))]
)
def test_the_interval_is_that_of_published_examples(
    gained: int, lost: int, pairs: int, published: tuple[float, float]
) -> None:
    low = float(score_bound(gained, lost, pairs, TWO_SIDED_5_PERCENT))
    high = -float(score_bound(lost, gained, pairs, TWO_SIDED_5_PERCENT))
    assert (low, high) == pytest.approx(published, abs=6e-4)


@given(_COUNTS)
@settings(deadline=None)
def test_at_the_bound_the_score_of_the_likeliest_model_with_that_loss_is_z(
    counts: tuple[int, int, int],
) -> None:
    gained, lost, films = counts
    bound = float(score_bound(gained, lost, films))
    same = films - gained - lost

    def unlikeliness(share_lost: float) -> float:
        parts = np.clip([share_lost + bound, share_lost, 1 - 2 * share_lost - bound], 1e-300, None)
        return -float(np.dot([gained, lost, same], np.log(parts)))

    least, most = max(0.0, -bound), (1 - bound) / 2
    share = minimize_scalar(unlikeliness, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
    variance = films * (2 * share + bound - bound**2)
    assert (gained - lost - films * bound) / np.sqrt(variance) == pytest.approx(ONE_SIDED_5_PERCENT, abs=0.01)


@given(_COUNTS)
def test_the_bound_is_below_the_estimate_and_above_a_loss_of_all(counts: tuple[int, int, int]) -> None:
    gained, lost, films = counts
    assert -1 <= float(score_bound(gained, lost, films)) < (gained - lost) / films


@given(_COUNTS, st.floats(1.1, 10))
def test_more_films_with_the_same_shares_promise_more(counts: tuple[int, int, int], times: float) -> None:
    few, many = score_bound(*counts), score_bound(*(times * count for count in counts))
    assert many > few


@given(_COUNTS)
def test_one_more_film_lost_never_helps(counts: tuple[int, int, int]) -> None:
    gained, lost, films = counts
    assert score_bound(gained, lost + 1, films) < score_bound(gained, lost, films)


@given(_COUNTS)
def test_one_more_film_gained_never_harms(counts: tuple[int, int, int]) -> None:
    gained, lost, films = counts
    assert score_bound(gained + 1, lost, films) > score_bound(gained, lost, films)


@given(st.floats(0.001, 0.5))
def test_as_many_films_as_are_needed_promise_the_margin_and_one_less_does_not(margin: float) -> None:
    needed = films_needed(margin)
    assert smallest_bound(needed) >= -margin - 1e-12
    assert smallest_bound(needed) == pytest.approx(float(score_bound(0, 0, needed)), abs=1e-9)
    assert smallest_bound(needed - 1) < -margin or needed == 1


def test_verdicts_that_never_differ_are_no_proof_that_none_would() -> None:
    right, codes = np.ones(80, bool), np.arange(80)
    low, high = paired_interval(right, right, codes, ONE_SIDED_5_PERCENT)
    assert low == pytest.approx(-0.0327, abs=1e-4)
    assert high == -low


def test_films_of_few_patients_count_as_few() -> None:
    right = np.ones(200, bool)
    by_patient = paired_interval(right, right, np.repeat(np.arange(10), 20), ONE_SIDED_5_PERCENT)
    assert by_patient[0] == pytest.approx(smallest_bound(10))


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**31 - 1))
def test_a_film_never_counts_for_more_than_one(patients: int, films: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(patients), films)
    change = random.choice([-1, 0, 1], len(codes), p=[0.05, 0.9, 0.05]).astype(np.int8)
    assert paired_effect(change, codes) >= 1
    if films == 1:
        assert paired_effect(change, codes) == pytest.approx(1)


# 20 patients whose two films change together, against 40 films that change alone.
def test_changes_that_come_by_patient_count_as_patients() -> None:
    codes = np.repeat(np.arange(200), 2)
    together = np.where(codes < 20, -1, 0).astype(np.int8)
    alone = np.where((np.arange(400) % 2 == 0) & (codes < 40), -1, 0).astype(np.int8)
    assert paired_effect(together, codes) == pytest.approx(2, abs=0.1)
    assert paired_effect(alone, codes) == pytest.approx(1, abs=0.1)
