import time

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score

from pneumo_tasks.evaluation.figures import bootstrap, intervals
from pneumo_tasks.evaluation.figures.clustering import WorstEffects
from pneumo_tasks.evaluation.figures.metrics import compute_metrics

THRESHOLD = 0.5


def films(seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """390 pneumonias of 203 patients and 234 normals of 225, as the public test set has them."""
    random = np.random.default_rng(seed)
    ill = np.r_[np.arange(203), random.integers(0, 203, 187)]
    patients = np.r_[ill, 203 + np.r_[np.arange(225), np.arange(9)]]
    positive = np.arange(624) < 390
    common = random.normal(size=428)[patients]
    latent = np.where(positive, 1.9, -1.2) + 0.7 * common + 0.7 * random.normal(size=624)
    probability = scipy.stats.norm.cdf(latent)
    return positive, np.round(probability, 2) if ties else probability, patients


@pytest.mark.parametrize("ties", [False, True])
def test_every_replicate_is_the_metric_of_the_drawn_patients(ties: bool) -> None:
    positive, probability, patients = films(ties=ties)
    codes, ill = bootstrap.patient_codes(pd.Series(patients.astype(str)), positive)
    draws = bootstrap.draw_patients(ill, 5, seed=1)
    found = bootstrap.replicate_metrics(positive, probability, THRESHOLD, codes, draws)
    for row, draw in enumerate(draws):
        images = np.repeat(np.arange(624), draw[codes].astype(int))
        expected = compute_metrics(positive[images], probability[images], THRESHOLD)
        for name, replicates in found.items():
            assert replicates[row] == pytest.approx(getattr(expected, name)), name
        assert found["auc"][row] == pytest.approx(roc_auc_score(positive[images], probability[images]))
        assert found["pr_auc"][row] == pytest.approx(
            average_precision_score(positive[images], probability[images])
        )


def test_each_class_keeps_its_number_of_patients() -> None:
    ill = np.arange(428) < 203
    draws = bootstrap.draw_patients(ill, 50, seed=3)
    assert (draws[:, ill].sum(axis=1) == 203).all()
    assert (draws[:, ~ill].sum(axis=1) == 225).all()
    assert (draws == bootstrap.draw_patients(ill, 50, seed=3)).all()


def test_percentiles_agree_with_scipy() -> None:
    positive, probability, patients = films()
    hits, images = (
        np.bincount(patients[positive], values)
        for values in ((probability >= THRESHOLD)[positive], np.ones(390))
    )
    reference = scipy.stats.bootstrap(
        (hits, images),
        lambda h, n, axis: h.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        random_state=np.random.default_rng(5),
    ).confidence_interval
    codes, ill = bootstrap.patient_codes(pd.Series(patients), positive)
    draws = bootstrap.draw_patients(ill, 4000, seed=7)
    recall = bootstrap.replicate_metrics(positive, probability, THRESHOLD, codes, draws)["recall"]
    found = intervals.percentile_interval(recall)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-2)


@pytest.mark.parametrize(("hits", "images"), [(378, 390), (205, 234), (390, 390), (1, 20)])
def test_wilson_agrees_with_scipy(hits: int, images: int) -> None:
    reference = scipy.stats.binomtest(hits, images).proportion_ci(method="wilson")
    found = intervals.wilson(hits / images, images)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_with_one_film_a_patient_the_interval_is_nearly_wilsons() -> None:
    positive, probability, _ = films()
    codes, ill = bootstrap.patient_codes(pd.Series(np.arange(624)), positive)
    draws = bootstrap.draw_patients(ill, 4000, seed=7)
    replicates = bootstrap.replicate_metrics(positive, probability, THRESHOLD, codes, draws)
    test = compute_metrics(positive, probability, THRESHOLD)
    found, wilson = (
        intervals.intervals(test, replicates, WorstEffects.of(positive, codes))["recall"],
        intervals.wilson(test.recall or 0, 390),
    )
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=3e-3)


def test_films_of_the_same_patients_widen_the_interval() -> None:
    positive, probability, patients = films()
    test = compute_metrics(positive, probability, THRESHOLD)
    width = {}
    for name, groups in (("patients", patients), ("films", np.arange(624))):
        codes, ill = bootstrap.patient_codes(pd.Series(groups), positive)
        draws = bootstrap.draw_patients(ill, 2000, seed=7)
        replicates = bootstrap.replicate_metrics(positive, probability, THRESHOLD, codes, draws)
        found = intervals.intervals(test, replicates, WorstEffects.of(positive, codes))["recall"]
        assert found is not None
        width[name] = found.high - found.low
    assert width["patients"] > 1.1 * width["films"]


def test_the_order_of_the_films_changes_nothing() -> None:
    positive, probability, patients = films()
    shuffle = np.random.default_rng(0).permutation(624)
    found = []
    for order in (np.arange(624), shuffle):
        codes, ill = bootstrap.patient_codes(pd.Series(patients[order].astype(str)), positive[order])
        draws = bootstrap.draw_patients(ill, 200, seed=7)
        found.append(
            bootstrap.replicate_metrics(positive[order], probability[order], THRESHOLD, codes, draws)
        )
    for name in found[0]:
        assert found[0][name] == pytest.approx(found[1][name])


def test_an_undefined_figure_has_no_interval() -> None:
    positive, probability = np.zeros(6, bool), np.full(6, 0.1)
    codes, ill = bootstrap.patient_codes(pd.Series(range(6)), positive)
    draws = bootstrap.draw_patients(ill, 100, seed=7)
    replicates = bootstrap.replicate_metrics(positive, probability, THRESHOLD, codes, draws)
    found = intervals.intervals(
        compute_metrics(positive, probability, THRESHOLD), replicates, WorstEffects.of(positive, codes)
    )
    assert found["recall"] is None
    assert found["auc"] is None
    assert found["specificity"] is not None


def test_two_thousand_resamples_of_the_test_set_take_under_two_seconds() -> None:
    positive, probability, patients = films()
    codes, ill = bootstrap.patient_codes(pd.Series(patients), positive)
    started = time.monotonic()
    draws = bootstrap.draw_patients(ill, 2000, seed=7)
    bootstrap.replicate_metrics(positive, probability, THRESHOLD, codes, draws)
    assert time.monotonic() - started < 2.0
