"""The operating point: the threshold above which an image is called pneumonia, chosen on validation."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadData
from pneumo_tasks.evaluation.metrics import Labels, Metrics, Scores, compute_metrics


class OperatingPoint(BaseModel):
    """A threshold, the policy that chose it, and what it gave on validation. Test data never enter."""

    model_config = ConfigDict(frozen=True)

    policy: str
    target: float
    threshold: float
    validation: Metrics


def choose_operating_point(positive: Labels, probability: Scores, target_recall: float) -> OperatingPoint:
    """The highest threshold whose validation recall is at least ``target_recall``.

    Recall is the figure a missed child depends on, so it is the one that is fixed in advance;
    the highest threshold that keeps it gives the best precision. The threshold lies half way to
    the next lower score, so that rounding on another machine changes no verdict.
    """
    positive, probability = np.asarray(positive, bool), np.asarray(probability, np.float64)
    if not positive.any() or positive.all() or not np.isfinite(probability).all():
        raise BadData(
            "no operating point can be chosen on validation",
            found=f"{int(positive.sum())} PNEUMONIA of {len(positive)} images, "
            f"{int((~np.isfinite(probability)).sum())} scores not finite",
            do="Validation needs both classes and finite scores.",
        )
    threshold = _threshold_for_recall(positive, probability, target_recall)
    return OperatingPoint(
        policy="target_recall",
        target=target_recall,
        threshold=threshold,
        validation=compute_metrics(positive, probability, threshold),
    )


def _threshold_for_recall(positive: Labels, probability: Scores, target: float) -> float:
    descending = np.sort(probability[positive])[::-1]
    needed = max(1, math.ceil(target * len(descending) - 1e-9))
    score = descending[needed - 1]
    lower = probability[probability < score]
    return float((score + (lower.max() if len(lower) else 0.0)) / 2)
