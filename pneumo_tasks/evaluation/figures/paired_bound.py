"""The lower end of a paired difference of two shares: Tango's score bound, at the effective number of films.

A bootstrap of few films knows only the pairs that it saw: where no verdict differs it says that no
verdict can. The score bound does not (Tango 1998, Statistics in Medicine 17, 891-908), and it is
computed for as many independent films as the patients are worth. docs/statistics.md holds the
simulation that it was chosen by.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumo_tasks.evaluation.figures.clustering import kish_effect

Numbers = NDArray[np.float64]

ONE_SIDED_5_PERCENT = 1.6448536269514722
TWO_SIDED_5_PERCENT = 1.959963984540054
_HALVINGS = 60


def score_bound(
    gained: ArrayLike, lost: ArrayLike, films: ArrayLike, z: float = ONE_SIDED_5_PERCENT
) -> Numbers:
    """Tango's lower bound of (gained - lost) / films, for arrays of any one shape; counts may be fractions.

    ``gained`` films only the candidate calls right, ``lost`` only the other. The bound is never above
    the estimate, and rises with the number of films at the same shares. The upper bound is minus the
    lower one of the exchanged counts.
    """
    g, b, n = np.broadcast_arrays(*(np.asarray(part, np.float64) for part in (gained, lost, films)))
    estimate = (g - b) / n
    low, high = np.full(g.shape, -1.0 + 1e-12), estimate.copy()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_far = _score(middle, g, b, n) > z
        low, high = np.where(too_far, middle, low), np.where(too_far, high, middle)
    # Nothing is below a loss of every film.
    return np.asarray(np.where(estimate <= -1, -1.0, low))


def paired_effect(change: NDArray[np.int8], codes: NDArray[np.intp]) -> float:
    """How many films of these patients are worth one independent film; never less than 1.

    ``change`` is +1, 0 or -1 for a film. What is seen of the clustering of the changes counts, and
    beside it one film more whose patient's films all change: where nothing changed, nothing was seen
    of how changes cluster, and patients are counted, not films.
    """
    clusters = np.bincount(codes)
    within = np.bincount(codes, change)
    mean = float(change.mean())
    between = float(((within - clusters * mean) ** 2).sum())
    alone = float(((change - mean) ** 2).sum())
    return max(1.0, (between + kish_effect(codes)) / (alone + 1))


def paired_interval(
    right: NDArray[np.bool_], other_right: NDArray[np.bool_], codes: NDArray[np.intp], z: float
) -> tuple[float, float]:
    """Both score bounds of candidate minus other for the films of one class; ``codes`` are their patients."""
    change = right.astype(np.int8) - other_right.astype(np.int8)
    effect = paired_effect(change, codes)
    gained, lost = (change > 0).sum() / effect, (change < 0).sum() / effect
    films = len(change) / effect
    return float(score_bound(gained, lost, films, z)), -float(score_bound(lost, gained, films, z))


def smallest_bound(films: float, z: float = ONE_SIDED_5_PERCENT) -> float:
    """The bound where no verdict differs at all: what so many independent films can promise at best."""
    return -(z**2) / (films + z**2)


def films_needed(margin: float, z: float = ONE_SIDED_5_PERCENT) -> int:
    """How many independent films a class needs before two models that never differ pass ``margin``."""
    return int(np.ceil(z**2 * (1 - margin) / margin - 1e-9))


def _score(difference: Numbers, gained: Numbers, lost: Numbers, films: Numbers) -> Numbers:
    """Tango's statistic of the hypothesis that the true difference is ``difference``."""
    linear = -gained - lost + (2 * films - gained + lost) * difference
    constant = -lost * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 - 8 * films * constant, 0.0))
    share_lost = (root - linear) / (4 * films)
    variance = films * (2 * share_lost + difference * (1 - difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((gained - lost - films * difference) / np.sqrt(np.maximum(variance, 1e-300)))
