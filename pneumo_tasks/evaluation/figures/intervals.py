"""From resamples of patients to intervals: each kind of figure by the method that covers what it says.

docs/statistics.md holds the simulation that these methods were chosen by.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from pneumo_tasks.evaluation.figures.bootstrap import Replicates
from pneumo_tasks.evaluation.figures.clustering import WorstEffects, share_effect
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.metrics import Metrics

_Z = {0.95: 1.959963984540054, 0.90: 1.6448536269514722}


def intervals(
    found: Metrics, replicates: Replicates, worst: WorstEffects, level: float = 0.95
) -> dict[str, Interval | None]:
    """An interval for every metric; None where the metric, or too many of its resamples, is undefined.

    Recall and specificity: Wilson at the effective number of images. Figures that are a function of
    the two (precision, NPV, F1, accuracies): from those two intervals. Areas: normal on the log-odds
    scale. Calibration: percentiles.
    """
    table = found.confusion
    counted = {"recall": table.tp + table.fn, "specificity": table.tn + table.fp}
    made: dict[str, Interval | None] = {}
    for name, drawn in replicates.items():
        value = getattr(found, name)
        if value is None:
            made[name] = None
        elif name in counted:
            made[name] = rate_interval(value, counted[name], drawn, getattr(worst, name), level)
        elif name in ("brier", "calibration_error"):
            made[name] = percentile_interval(drawn, level)
        elif name not in OF_BOTH:
            made[name] = log_odds_interval(value, drawn, level)
    shared = correlation(replicates["recall"], replicates["specificity"])
    for name in OF_BOTH:
        defined_too = getattr(found, name) is not None and defined(replicates[name]) is not None
        recall, specificity = made["recall"], made["specificity"]
        if defined_too and recall is not None and specificity is not None:
            made[name] = interval_of_both(name, found, recall, specificity, shared, level)
        else:
            made[name] = None
    return {name: made[name] for name in replicates}


def percentile_interval(replicates: NDArray[np.float64], level: float = 0.95) -> Interval | None:
    """The middle ``level`` of the resamples; None where too many of them are undefined."""
    finite = defined(replicates)
    if finite is None:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level)


def rate_interval(
    share: float, images: float, replicates: NDArray[np.float64], worst: float, level: float = 0.95
) -> Interval | None:
    """Wilson's interval at the number of independent images that the patients are worth.

    The bootstrap gives the design effect, Wilson's interval the shape (Korn & Graubard 1998,
    Dean & Pagano 2015); ``worst`` is the design effect if all films of a patient said the same, and
    what is left where no film was missed. With one image a patient it is Wilson's interval.
    """
    finite = defined(replicates)
    if finite is None:
        return None
    return wilson(share, images / share_effect(share, images, float(np.var(finite)), worst), level)


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


def interval_of_both(
    name: str, found: Metrics, recall: Interval, specificity: Interval, shared: float, level: float
) -> Interval:
    """Interval of a figure that rises with recall and with specificity (MOVER, Zou & Donner 2008).

    The distance to each end is put together from what the figure loses, or gains, when one of the
    two goes to the end of its own interval. ``shared`` is their correlation, 0 where no patient has
    films of both classes.
    """
    value = getattr(found, name)
    ill, well = found.positives, found.images - found.positives
    here = found.recall or 0.0, found.specificity or 0.0

    def distance(r: float, s: float) -> float:
        one = OF_BOTH[name](r, here[1], ill, well) - value
        other = OF_BOTH[name](here[0], s, ill, well) - value
        return math.sqrt(max(0.0, one**2 + other**2 + 2 * shared * one * other))

    low = value - distance(recall.low, specificity.low)
    high = value + distance(recall.high, specificity.high)
    return Interval(low=max(0.0, low), high=min(1.0, high), level=level)


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Of two columns of resamples; 0 where one of them does not move."""
    both = np.isfinite(first) & np.isfinite(second)
    if not both.any() or first[both].std() == 0 or second[both].std() == 0:
        return 0.0
    return float(np.corrcoef(first[both], second[both])[0, 1])


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


# Figures as functions of recall, specificity and the numbers of ill and well images.
OF_BOTH: dict[str, Callable[[float, float, int, int], float]] = {
    "precision": lambda r, s, ill, well: _share(ill * r, ill * r + well * (1 - s)),
    "npv": lambda r, s, ill, well: _share(well * s, well * s + ill * (1 - r)),
    "f1": lambda r, s, ill, well: 2 * ill * r / (ill * r + ill + well * (1 - s)),
    "accuracy": lambda r, s, ill, well: (ill * r + well * s) / (ill + well),
    "balanced_accuracy": lambda r, s, _ill, _well: (r + s) / 2,
}
