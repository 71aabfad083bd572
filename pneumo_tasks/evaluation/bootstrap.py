"""Uncertainty: patients, not images, are drawn again; everything vectorised over the resamples.

Films of one patient resemble each other, so 390 films of 203 patients hold less information than
390 films of 390. Drawing whole patients keeps that; drawing films would give intervals that are
too narrow.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import expit, logit

from pneumo_tasks.evaluation.metrics import CALIBRATION_BINS, Labels, Metrics, Scores, calibration_bin

Draws = NDArray[np.float64]
Replicates = dict[str, NDArray[np.float64]]

# Scores are resampled in slices of at most this many numbers, to keep memory flat.
_SLICE = 4_000_000
_Z = {0.95: 1.959963984540054, 0.90: 1.6448536269514722}


class Interval(BaseModel):
    """A two-sided interval; ``level`` is its nominal coverage."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True)
class Resampled:
    """One bootstrap: the patient of each row, the draws of patients, a model's metrics on each draw."""

    codes: NDArray[np.intp]
    draws: Draws
    replicates: Replicates

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
    return Resampled(codes, draws, replicate_metrics(positive, probability, threshold, codes, draws))


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
    called = probability >= threshold
    # A score that is no probability makes every metric None; here it must only not stop the rest.
    probability = np.clip(np.nan_to_num(probability), 0, 1)
    cells = [called & positive, called & ~positive, ~called & ~positive, ~called & positive]
    a_patient = np.stack([np.bincount(codes, cell, draws.shape[1]) for cell in cells], axis=1)
    tp, fp, tn, fn = (draws @ a_patient).T
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, specificity = tp / (tp + fn), tn / (tn + fp)
        rates = {
            "recall": recall,
            "precision": tp / (tp + fp),
            "specificity": specificity,
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "accuracy": (tp + tn) / (tp + fp + tn + fn),
            "balanced_accuracy": (recall + specificity) / 2,
        }
    slices = [_score_metrics(positive, probability, weights) for weights in _by_slice(codes, draws)]
    return rates | {name: np.concatenate([part[name] for part in slices]) for name in slices[0]}


def intervals(found: Metrics, replicates: Replicates, level: float = 0.95) -> dict[str, Interval | None]:
    """An interval for every metric; None where the metric, or too many of its resamples, is undefined.

    Shares of counts: Wilson's interval at the effective number of images. Areas and means of
    shares: normal on the log-odds scale. Calibration: percentiles. The plain percentile interval
    covers less than it says for shares near 1; docs/statistics.md has the simulation.
    """
    table = found.confusion
    counted = {
        "recall": table.tp + table.fn,
        "precision": table.tp + table.fp,
        "specificity": table.tn + table.fp,
        "npv": table.tn + table.fn,
        "accuracy": found.images,
    }
    made: dict[str, Interval | None] = {}
    for name, drawn in replicates.items():
        value = getattr(found, name)
        if value is None:
            made[name] = None
        elif name in counted:
            made[name] = rate_interval(value, counted[name], drawn, level)
        elif name in ("brier", "calibration_error"):
            made[name] = percentile_interval(drawn, level)
        else:
            made[name] = log_odds_interval(value, drawn, level)
    return made


def percentile_interval(replicates: NDArray[np.float64], level: float = 0.95) -> Interval | None:
    """The middle ``level`` of the resamples; None where too many of them are undefined."""
    finite = defined(replicates)
    if finite is None:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level)


def rate_interval(
    share: float, images: float, replicates: NDArray[np.float64], level: float = 0.95
) -> Interval | None:
    """Wilson's interval at the number of independent images that the patients are worth.

    The bootstrap gives only the design effect, Wilson's interval the shape (Korn & Graubard 1998,
    Dean & Pagano 2015). With one image a patient it is Wilson's interval, but for drawing noise.
    """
    finite = defined(replicates)
    if finite is None:
        return None
    spread, simple = float(np.var(finite)), share * (1 - share) / images
    return wilson(share, images * simple / spread if spread > 0 and simple > 0 else images, level)


def log_odds_interval(share: float, replicates: NDArray[np.float64], level: float = 0.95) -> Interval | None:
    """Normal on the log-odds scale with the bootstrap's spread; percentiles where a share is 0 or 1."""
    finite = defined(replicates)
    if finite is None:
        return None
    if not 0 < share < 1 or not ((finite > 0) & (finite < 1)).all():
        return percentile_interval(replicates, level)
    half = _Z[level] * float(np.std(logit(finite)))
    low, high = expit(logit(share) - half), expit(logit(share) + half)
    return Interval(low=float(low), high=float(high), level=level)


def wilson(share: float, images: float, level: float = 0.95) -> Interval:
    """Wilson's score interval (1927) for ``share`` of ``images`` independent ones."""
    z2 = _Z[level] ** 2 / images
    centre = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half), level=level)


def defined(replicates: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The resamples that give a figure; None where more than one in twenty leaves it undefined."""
    finite = replicates[np.isfinite(replicates)]
    return finite if len(finite) and len(finite) >= 0.95 * len(replicates) else None


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
