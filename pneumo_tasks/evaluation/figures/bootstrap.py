"""Uncertainty: patients, not images, are drawn again; everything vectorised over the resamples.

Films of one patient resemble each other, so 390 films of 203 patients hold less information than
390 films of 390. Drawing whole patients keeps that; drawing films would give intervals that are
too narrow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.evaluation.figures.clustering import WorstEffects
from pneumo_tasks.evaluation.figures.metrics import CALIBRATION_BINS, Labels, Scores, calibration_bin

Draws = NDArray[np.float64]
Replicates = dict[str, NDArray[np.float64]]

# Scores are resampled in slices of at most this many numbers, to keep memory flat.
_SLICE = 4_000_000


@dataclass(frozen=True)
class Resampled:
    """One bootstrap: the patient of each row, the draws of patients, a model's metrics on each draw."""

    codes: NDArray[np.intp]
    draws: Draws
    replicates: Replicates
    worst: WorstEffects

    @property
    def patients(self) -> int:
        return int(self.draws.shape[1])


def resample(
    patients: "pd.Series[str]",
    positive: Labels,
    probability: Scores,
    threshold: float,
    resamples: int,
    seed: int,
) -> Resampled:
    """Draw the patients ``resamples`` times and measure the model on each; the same seed, the same draws."""
    codes, ill = patient_codes(patients, positive)
    draws = draw_patients(ill, resamples, seed)
    found = replicate_metrics(positive, probability, threshold, codes, draws)
    return Resampled(codes, draws, found, WorstEffects.of(positive, codes))


def draw_patients(strata: NDArray[np.bool_], resamples: int, seed: int) -> Draws:
    """How often each patient is drawn in each resample: (resamples, patients).

    ``strata`` says which patients have pneumonia: each class keeps its number of patients, because
    its share of a test set is the collector's choice, not chance.
    """
    random = np.random.default_rng(seed)
    draws = np.zeros((resamples, len(strata)))
    for stratum in (strata, ~strata):
        size = int(stratum.sum())
        if size:
            draws[:, stratum] = random.multinomial(size, np.full(size, 1 / size), resamples)
    return draws


def patient_codes(patients: "pd.Series[str]", positive: Labels) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """A number for each row's patient, and which patients have pneumonia; row order does not matter."""
    codes, names = pd.factorize(patients, sort=True)
    return codes, np.bincount(codes, positive, len(names)) > 0


def replicate_metrics(
    positive: Labels, probability: Scores, threshold: float, codes: NDArray[np.intp], draws: Draws
) -> Replicates:
    """Every metric on every resample of the patients; NaN where a resample leaves it undefined."""
    rates = replicate_rates(positive, probability >= threshold, codes, draws)
    # A score that is no probability makes every metric None; here it must only not stop the rest.
    probability = np.clip(np.nan_to_num(probability), 0, 1)
    slices = [_score_metrics(positive, probability, weights) for weights in _by_slice(codes, draws)]
    return rates | {name: np.concatenate([part[name] for part in slices]) for name in slices[0]}


def replicate_rates(positive: Labels, called: Labels, codes: NDArray[np.intp], draws: Draws) -> Replicates:
    """The metrics that need verdicts alone, on every resample of the patients."""
    cells = [called & positive, called & ~positive, ~called & ~positive, ~called & positive]
    a_patient = np.stack([np.bincount(codes, cell, draws.shape[1]) for cell in cells], axis=1)
    tp, fp, tn, fn = (draws @ a_patient).T
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, specificity = tp / (tp + fn), tn / (tn + fp)
        return {
            "recall": recall,
            "precision": tp / (tp + fp),
            "specificity": specificity,
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "accuracy": (tp + tn) / (tp + fp + tn + fn),
            "balanced_accuracy": (recall + specificity) / 2,
        }


def _by_slice(codes: NDArray[np.intp], draws: Draws) -> Iterator[Draws]:
    rows = max(1, _SLICE // max(1, len(codes)))
    for start in range(0, len(draws), rows):
        yield draws[start : start + rows][:, codes]


def _score_metrics(positive: Labels, probability: Scores, weights: Draws) -> Replicates:
    """Threshold-free metrics of weighted images: ``weights`` is (resamples, images)."""
    order = np.argsort(-probability, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(probability[order]) != 0])
    ordered, truth = weights[:, order], positive[order]
    tp = np.cumsum(np.add.reduceat(ordered * truth, starts, axis=1), axis=1)
    fp = np.cumsum(np.add.reduceat(ordered * ~truth, starts, axis=1), axis=1)
    found, alarms = np.diff(tp, prepend=0, axis=1), np.diff(fp, prepend=0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Each alarm counts the pneumonias above it; those tied with it count half.
        auc = (alarms * (tp - found / 2)).sum(axis=1) / (tp[:, -1] * fp[:, -1])
        precision = np.nan_to_num(tp / (tp + fp))
        pr_auc = (found * precision).sum(axis=1) / tp[:, -1]
        total = weights.sum(axis=1)
        brier = weights @ (probability - positive) ** 2 / total
    gaps = np.zeros((len(positive), CALIBRATION_BINS))
    gaps[np.arange(len(positive)), calibration_bin(probability)] = probability - positive
    error = np.abs(weights @ gaps).sum(axis=1) / total
    return {"auc": auc, "pr_auc": pr_auc, "brier": brier, "calibration_error": error}
