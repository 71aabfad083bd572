"""The margin above the floor: what recall a threshold has to be chosen for, so that a test set passes.

A threshold whose true recall is the floor fails it on every second test set. How far above it has to lie
follows from two counts: the films of the test set, and the held-out films that the recall is known from.
"""

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.evaluation.figures.clustering import kish_effect, share_effect
from pneumo_tasks.settings import LABELS

if TYPE_CHECKING:
    import pandas as pd

CHANCE = 0.9  # with which a sound candidate has to pass the floor


def chance_of_passing(trials: int, share: float, floor: float) -> float:
    """P(successes / trials >= floor) for independent trials that each succeed with probability ``share``."""
    from scipy.stats import binom

    return float(binom.sf(_successes(trials, floor) - 1, trials, share))


def share_needed(trials: int, floor: float) -> float:
    """The least true share that passes the floor with CHANCE: below it `chance_of_passing` is smaller."""
    from scipy.stats import beta

    needed = _successes(trials, floor)
    return float(beta.ppf(CHANCE, needed, trials - needed + 1)) if needed else 0.0


def needed_recall(held_out: "pd.DataFrame", test_films: int, floor: float) -> float:
    """The least held-out recall whose threshold passes ``floor`` with CHANCE on ``test_films`` ill films.

    ``held_out`` has patient, label and probability. A threshold's true recall is known from its held-out
    count alone (Jeffreys' prior); what a test set then shows is beta-binomial. Both counts are divided by
    the design effect of films of one patient. 0 where the test set has no ill film, 1 where no recall is
    enough: few films then ask for the threshold that misses no held-out film.
    """
    from scipy.stats import betabinom

    ill = held_out[held_out["label"] == LABELS[1]]
    if not test_films or ill.empty:
        return 0.0
    effect = _design_effect(ill, floor)
    trials, known = max(1, int(test_films / effect)), len(ill) / effect
    needed = _successes(trials, floor)

    def chance(found: int) -> float:
        share = found / len(ill)
        return float(betabinom.sf(needed - 1, trials, known * share + 0.5, known * (1 - share) + 0.5))

    return min(bisect_left(range(len(ill) + 1), CHANCE, key=chance), len(ill)) / len(ill)


def _design_effect(ill: "pd.DataFrame", floor: float) -> float:
    """How much the films of one patient repeat each other, of the misses at the floor: there are more of
    them than at the threshold that is sought, and they say more of how misses cluster."""
    codes = np.unique(ill["patient"].astype(str), return_inverse=True)[1]
    scores = ill["probability"].to_numpy(np.float64)
    found = scores >= np.quantile(scores, max(0.0, 1 - floor))
    return share_effect(float(found.mean()), len(ill), _variance(found, codes), kish_effect(codes))


def _variance(found: NDArray[np.bool_], codes: NDArray[np.intp]) -> float:
    """That of a share whose trials come in clusters, by their sums of deviations (Cochran 1977, 9.3)."""
    sums = np.bincount(codes, weights=found - found.mean())
    return float((sums**2).sum()) / len(found) ** 2


def _successes(trials: int, floor: float) -> int:
    return math.ceil(round(floor * trials, 9))
