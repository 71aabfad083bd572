"""The operating point: the threshold above which an image is called pneumonia, chosen on validation."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadData
from pneumo_tasks.evaluation.figures.metrics import Labels, Metrics, Scores, compute_metrics
from pneumo_tasks.evaluation.figures.recall_margin import needed_recall
from pneumo_tasks.settings import LABELS, Settings

if TYPE_CHECKING:
    import pandas as pd

_CURVE_POINTS = 50
_CLIP = 1e-6


class OperatingPoint(BaseModel):
    """A threshold, the policy that chose it, and what it gave on validation. Test data never enter.

    ``threshold`` is on the artefact's own output. ``temperature`` calibrates that output for
    reading; it changes no verdict. ``curve`` holds (threshold, recall, specificity) on validation.
    ``needed`` is the recall that the floor asked for, where a margin was computed.
    """

    model_config = ConfigDict(frozen=True)

    policy: str
    target: float | None
    threshold: float
    temperature: float
    validation: Metrics
    curve: list[tuple[float, float, float]]
    needed: float | None = None


def point_for_test_set(settings: Settings, held_out: "pd.DataFrame", test_films: int) -> OperatingPoint:
    """The operating point of held-out scores, for a test set with ``test_films`` ill films.

    Policy ``target_recall`` chooses for the target, or for the recall that passes the floor on
    so many films with a probability of .9, whichever is more (recall_margin.py).
    """
    needed = None
    if settings.threshold_policy == "target_recall":
        needed = needed_recall(held_out, test_films, settings.min_recall)
    positive = (held_out["label"] == LABELS[1]).to_numpy(bool)
    return choose_operating_point(settings, positive, held_out["probability"].to_numpy(np.float64), needed)


def choose_operating_point(
    settings: Settings, positive: Labels, probability: Scores, needed: float | None = None
) -> OperatingPoint:
    """Choose the threshold by the settings' policy.

    ``target_recall``: the highest threshold whose recall is at least the target, and ``needed``. Recall
    is what a missed child depends on, so it is fixed in advance; the highest threshold that keeps it
    gives the best precision. ``youden``: the greatest recall + specificity (Youden 1950). ``cost``: the
    least ``price`` x missed cases + false alarms.

    The threshold lies half way to the next lower score, so that rounding on another machine
    changes no verdict. BadData where validation lacks a class or a finite score.
    """
    positive, probability = np.asarray(positive, bool), np.asarray(probability, np.float64)
    if not positive.any() or positive.all() or not np.isfinite(probability).all():
        raise BadData(
            "no operating point can be chosen on validation",
            found=f"{int(positive.sum())} PNEUMONIA of {len(positive)} images, "
            f"{int((~np.isfinite(probability)).sum())} scores not finite",
            do="Validation needs both classes and finite scores.",
        )
    thresholds, recall, specificity = _curve(positive, probability)
    share, wanted = float(positive.mean()), max(settings.target_recall, needed or 0.0)
    policies: dict[str, tuple[float | None, Callable[[], int]]] = {
        "target_recall": (
            settings.target_recall,
            lambda: int(np.argmax(recall >= wanted - 1e-9)),
        ),
        "youden": (None, lambda: _last_best(recall + specificity)),
        "cost": (
            settings.missed_case_price,
            lambda: _last_best(
                settings.missed_case_price * share * (recall - 1) + (1 - share) * (specificity - 1)
            ),
        ),
    }
    target, choose = policies[settings.threshold_policy]
    threshold = float(thresholds[choose()])
    shown = np.unique(np.linspace(0, len(thresholds) - 1, _CURVE_POINTS).round().astype(int))
    return OperatingPoint(
        policy=settings.threshold_policy,
        target=target,
        threshold=threshold,
        temperature=fit_temperature(positive, probability),
        validation=compute_metrics(positive, probability, threshold),
        curve=[(float(thresholds[i]), float(recall[i]), float(specificity[i])) for i in shown],
        needed=needed,
    )


def fit_temperature(positive: Labels, probability: Scores) -> float:
    """The temperature that minimises log loss on validation (Guo et al. 2017); 1 changes nothing."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logit

    sign, score = np.where(positive, 1.0, -1.0), logit(np.clip(probability, _CLIP, 1 - _CLIP))

    def loss(log_temperature: float) -> float:
        return float(np.mean(np.logaddexp(0, -sign * score / np.exp(log_temperature))))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def calibrated(probability: Scores, temperature: float) -> Scores:
    """The probability on the scale on which it is best calibrated; the order of images stays."""
    from scipy.special import expit, logit

    return np.asarray(expit(logit(np.clip(probability, _CLIP, 1 - _CLIP)) / temperature))


def _curve(
    positive: Labels, probability: Scores
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Every threshold that makes a difference, from the highest, with its recall and specificity."""
    order = np.argsort(-probability, kind="stable")
    scores, truth = probability[order], positive[order]
    last = np.flatnonzero(np.r_[np.diff(scores) != 0, True])
    lower = np.r_[scores[last[1:]], 0.0]
    recall = np.cumsum(truth)[last] / truth.sum()
    specificity = 1 - np.cumsum(~truth)[last] / (~truth).sum()
    return (scores[last] + lower) / 2, recall, specificity


def _last_best(value: NDArray[np.float64]) -> int:
    """The lowest of the best thresholds: a tie goes to the one that misses fewer cases."""
    return int(np.flatnonzero(value >= value.max() - 1e-12)[-1])
