import numpy as np
import pandas as pd
import pytest
import scipy.stats

from pneumo_tasks.evaluation.comparison import ChampionRef, Comparison, against_trivial, compare, mcnemar
from pneumo_tasks.evaluation.figures import bootstrap, intervals
from pneumo_tasks.evaluation.figures.metrics import compute_metrics
from tests.evaluation.figures.test_bootstrap import THRESHOLD, films

OTHER = ChampionRef("v1", "0" * 64, THRESHOLD, "before", "5nap")


def compared(ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    positive, _, patients = films()
    scores = pd.DataFrame(
        {
            "sha256": [f"{n:064d}" for n in range(624)],
            "file": [f"{n}.png" for n in range(624)],
            "label": np.where(positive, "PNEUMONIA", "NORMAL"),
            "probability": ours,
        }
    )
    resampled = bootstrap.resample(pd.Series(patients), positive, ours, THRESHOLD, 500, seed=7)
    return compare(scores, OTHER, theirs, THRESHOLD, resampled)


def test_a_model_differs_from_itself_by_nothing() -> None:
    _, probability, _ = films()
    found = compared(probability, probability)
    for difference in found.differences.values():
        assert difference is not None
        assert difference.value == 0
        assert difference.low <= difference.bound <= 0 <= difference.high
    assert found.flips == []


def test_a_worse_model_is_told_from_a_better_one() -> None:
    positive, probability, _ = films()
    worse = np.where(positive & (np.arange(624) % 10 == 0), 0.01, probability)
    recall = compared(worse, probability).differences["recall"]
    assert recall is not None
    assert recall.low <= recall.bound <= recall.value <= recall.high < 0
    back = compared(probability, worse).differences["recall"]
    assert back is not None
    assert back.value == pytest.approx(-recall.value)
    assert (back.low, back.high) == pytest.approx((-recall.high, -recall.low))


def test_pairing_makes_the_interval_of_the_difference_shorter() -> None:
    positive, probability, _ = films()
    worse = np.where(positive & (np.arange(624) % 50 == 0), 0.01, probability)
    found = compared(worse, probability)
    difference = found.differences["recall"]
    assert difference is not None
    alone = intervals.wilson(found.test.recall or 0, 390)
    assert difference.high - difference.low < alone.high - alone.low


def test_flips_are_the_changed_verdicts_broken_ones_first() -> None:
    positive, probability, _ = films()
    ours = probability.copy()
    ours[:390:40] = 0.01
    right, other_right = (ours >= THRESHOLD) == positive, (probability >= THRESHOLD) == positive
    found = compared(ours, probability).flips
    assert len(found) == int((right != other_right).sum())
    assert [flip.kind for flip in found] == sorted(flip.kind for flip in found)
    assert all(flip.label == "PNEUMONIA" for flip in found if flip.kind == "broken")


def test_mcnemar_is_the_exact_test_on_the_discordant_pairs() -> None:
    right = np.array([True] * 8 + [False] * 2 + [True] * 50)
    other = np.array([False] * 8 + [True] * 2 + [True] * 50)
    found = mcnemar(right, other)
    assert (found.only_candidate_right, found.only_other_right) == (8, 2)
    assert found.p == pytest.approx(scipy.stats.binomtest(8, 10).pvalue)
    assert mcnemar(right, right).p == 1.0


def test_the_trivial_model_finds_all_and_clears_nobody() -> None:
    positive, probability, patients = films()
    found, trivial = (compute_metrics(positive, p, THRESHOLD) for p in (probability, np.ones(624)))
    resampled = bootstrap.resample(pd.Series(patients), positive, probability, THRESHOLD, 200, seed=7)
    ahead = against_trivial(positive, found, probability >= THRESHOLD, trivial, resampled)
    assert ahead["recall"] is not None
    assert ahead["recall"].value == pytest.approx((found.recall or 0) - 1)
    assert ahead["specificity"] is not None
    assert ahead["specificity"].low > 0.5
    assert ahead["auc"] is not None
    assert ahead["auc"].value == pytest.approx((found.auc or 0) - 0.5)
