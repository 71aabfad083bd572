"""What a classifier got right and wrong on a set of images; pure functions of arrays."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]

CALIBRATION_BINS = 10


class Confusion(BaseModel):
    """The two-by-two table; positive is PNEUMONIA."""

    model_config = ConfigDict(frozen=True)

    tp: int
    fp: int
    tn: int
    fn: int


class Metrics(BaseModel):
    """Shares in 0..1; None where the value is undefined (no positives, one class only, ...)."""

    model_config = ConfigDict(frozen=True)

    images: int
    positives: int
    threshold: float
    confusion: Confusion
    recall: float | None
    precision: float | None
    specificity: float | None
    npv: float | None
    f1: float | None
    accuracy: float | None
    balanced_accuracy: float | None
    auc: float | None
    pr_auc: float | None
    brier: float | None
    calibration_error: float | None


def compute_metrics(positive: Labels, probability: Scores, threshold: float) -> Metrics:
    """Metrics of calling an image positive when its probability is at least ``threshold``.

    A score that is not a finite probability makes every figure None: it must fail a gate, not
    slip through a comparison with NaN.
    """
    from sklearn import metrics as sk  # a list of runs reads metrics, and computes none

    positive, probability = np.asarray(positive, bool), np.asarray(probability, np.float64)
    called = probability >= threshold
    table = Confusion(
        tp=int((called & positive).sum()),
        fp=int((called & ~positive).sum()),
        tn=int((~called & ~positive).sum()),
        fn=int((~called & positive).sum()),
    )
    sound = bool(len(probability)) and bool(((probability >= 0) & (probability <= 1)).all())
    rates = _rates(table) if sound else dict.fromkeys(_rates(table))
    both = sound and bool(positive.any()) and not bool(positive.all())
    return Metrics(
        images=len(positive),
        positives=int(positive.sum()),
        threshold=float(threshold),
        confusion=table,
        **rates,
        auc=float(sk.roc_auc_score(positive, probability)) if both else None,
        pr_auc=float(sk.average_precision_score(positive, probability)) if both else None,
        brier=float(np.mean((probability - positive) ** 2)) if sound else None,
        calibration_error=calibration_error(positive, probability) if sound else None,
    )


def calibration_error(positive: Labels, probability: Scores, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error over ``bins`` of equal width: mean |observed - predicted|, by count."""
    place = calibration_bin(probability, bins)
    gap = np.bincount(place, weights=probability - positive, minlength=bins)
    return float(np.abs(gap).sum() / len(probability))


def calibration_bin(probability: Scores, bins: int = CALIBRATION_BINS) -> NDArray[np.intp]:
    return np.minimum((probability * bins).astype(np.intp), bins - 1)


def predictive_values(
    recall: float, specificity: float, prevalence: float
) -> tuple[float | None, float | None]:
    """Positive and negative predictive value at another prevalence (Bayes); None where undefined.

    Precision on this test set is precision at its share of pneumonia (62.5 %), which no clinic has.
    """
    called = recall * prevalence + (1 - specificity) * (1 - prevalence)
    cleared = specificity * (1 - prevalence) + (1 - recall) * prevalence
    return (
        recall * prevalence / called if called else None,
        specificity * (1 - prevalence) / cleared if cleared else None,
    )


def _rates(table: Confusion) -> dict[str, float | None]:
    tp, fp, tn, fn = table.tp, table.fp, table.tn, table.fn
    recall, specificity = _share(tp, tp + fn), _share(tn, tn + fp)
    both = None if recall is None or specificity is None else (recall + specificity) / 2
    return {
        "recall": recall,
        "precision": _share(tp, tp + fp),
        "specificity": specificity,
        "npv": _share(tn, tn + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "accuracy": _share(tp + tn, tp + fp + tn + fn),
        "balanced_accuracy": both,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
