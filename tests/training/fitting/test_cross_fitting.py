import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from pneumo_tasks.errors import BadData
from pneumo_tasks.training.fitting.cross_fitting import block_folds, cross_fit, fit_head

RNG = np.random.default_rng(1)
COUNT, WIDTH = 300, 12
LABELS = RNG.integers(0, 2, COUNT).astype(np.float32)
FEATURES = (RNG.normal(5, 3, (COUNT, WIDTH)) + 4 * LABELS[:, None] * (np.arange(WIDTH) < 2)).astype(
    np.float32
)
FOLDS = np.arange(COUNT) % 5
EVEN = np.ones(COUNT, np.float32)


def test_no_film_is_scored_by_a_head_that_saw_its_fold() -> None:
    whole = cross_fit(FEATURES, LABELS, EVEN, FOLDS, 1.0)
    turned = np.where(FOLDS == 2, 1 - LABELS, LABELS).astype(np.float32)
    other = cross_fit(FEATURES, turned, EVEN, FOLDS, 1.0)
    np.testing.assert_array_equal(whole.logits[FOLDS == 2], other.logits[FOLDS == 2])
    assert (whole.logits[FOLDS == 3] != other.logits[FOLDS == 3]).all()


def test_noise_has_no_out_of_fold_auc_and_a_signal_has() -> None:
    random = RNG.integers(0, 2, COUNT).astype(np.float32)
    chance = cross_fit(FEATURES[:, 2:], random, EVEN, FOLDS, 1.0).logits
    assert 0.35 < roc_auc_score(random, chance) < 0.65
    assert roc_auc_score(LABELS, cross_fit(FEATURES, LABELS, EVEN, FOLDS, 1.0).logits) > 0.8


def test_the_mean_head_answers_with_the_mean_of_all_logits() -> None:
    fit = cross_fit(FEATURES, LABELS, EVEN, FOLDS, 1.0)
    logits = np.mean([head.logits(FEATURES) for head in fit.heads.values()], axis=0)
    np.testing.assert_allclose(fit.mean.logits(FEATURES), logits, atol=1e-6)


def test_the_optimum_hangs_neither_on_the_order_nor_on_the_scale_of_anything() -> None:
    head, order = fit_head(FEATURES, LABELS, EVEN, 0.1), RNG.permutation(COUNT)
    shuffled = fit_head(FEATURES[order], LABELS[order], EVEN, 0.1)
    np.testing.assert_allclose(shuffled.logits(FEATURES), head.logits(FEATURES), atol=1e-6)
    scaled = fit_head(1000 * FEATURES - 7, LABELS, EVEN, 0.1)
    np.testing.assert_allclose(scaled.logits(1000 * FEATURES - 7), head.logits(FEATURES), atol=1e-3)


def test_weights_count_like_films() -> None:
    twice = np.where(LABELS == 1, 2, 1)
    repeated = np.repeat(np.arange(COUNT), twice)
    one = fit_head(FEATURES[:, :2] * 0 + FEATURES[:, :1], LABELS, twice.astype(np.float32), 1e6)
    other = fit_head(FEATURES[repeated][:, :2] * 0 + FEATURES[repeated][:, :1], LABELS[repeated],
                     np.ones(len(repeated), np.float32), 1e6)  # fmt: skip
    difference = expit(one.logits(FEATURES[:, :2] * 0 + FEATURES[:, :1])) - expit(
        other.logits(FEATURES[:, :2] * 0 + FEATURES[:, :1])
    )
    assert np.abs(difference).max() < 1e-3


def test_a_fold_that_takes_a_whole_class_away_is_refused() -> None:
    with pytest.raises(BadData, match="both classes"):
        cross_fit(FEATURES, LABELS, EVEN, LABELS.astype(np.int64), 1.0)


def test_blocks_are_neighbours_within_each_family() -> None:
    patients = pd.Series([f"{family}:{number}" for family in ("IM", "person-virus") for number in range(50)])
    mixed = patients.sample(frac=1, random_state=0)
    folds = pd.Series(block_folds(mixed, 5), index=mixed.to_numpy())
    assert [folds[f"IM:{number}"] for number in range(50)] == [number // 10 for number in range(50)]
    assert folds["person-virus:9"] == 0
    assert folds["person-virus:10"] == 1
    assert set(folds.value_counts()) == {20}
