"""Bounds on a share that hold at every moment at once, however often and whenever somebody looks.

A fixed-time interval that is looked at each week misses the truth far more often than it says. These are
confidence sequences: the chance that the truth is ever outside, from the first patient to the last, is at
most 1 - level.
"""

import math
from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict
from scipy.optimize import brentq
from scipy.special import betaln, xlog1py, xlogy

_EDGE = 1e-12


def confidence_sequence(successes: float, trials: int, level: float = 0.95) -> tuple[float, float]:
    """(low, high) for a share after ``trials`` patients, time-uniform at ``level``; (0, 1) after none.

    ``successes`` is the sum of one value from 0 to 1 a patient: the share of this patient's films that the
    model answered rightly, so that ten films of one patient count once. The mixture of Bernoulli
    likelihoods over a uniform prior, divided by the likelihood of a share, is a martingale under that
    share (Robbins 1970; Howard et al. 2021, Annals of Statistics 49); for values between 0 and 1 it is a
    supermartingale, because the ratio is convex in the value. A share is excluded where it exceeds
    1 / (1 - level) (Ville 1939).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} patients")
    if trials == 0:
        return 0.0, 1.0
    limit = math.log(1.0 / (1.0 - level))
    mixture = float(betaln(1.0 + successes, 1.0 + trials - successes))

    def beyond(share: float) -> float:
        likelihood = xlogy(successes, share) + xlog1py(trials - successes, -share)
        return float(mixture - likelihood) - limit

    centre = min(max(successes / trials, _EDGE), 1.0 - _EDGE)
    low = 0.0 if successes == 0 else float(brentq(beyond, _EDGE, centre)) if beyond(_EDGE) > 0 else 0.0
    high = 1.0
    if successes < trials and beyond(1.0 - _EDGE) > 0:
        high = float(brentq(beyond, centre, 1.0 - _EDGE))
    return low, high


class PatientShare(BaseModel):
    """A share over patients with bounds that hold at every moment at once; no value before the first."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    low: float
    high: float
    patients: int

    @classmethod
    def of(cls, right: Sequence[float]) -> Self:
        """``right`` has one value from 0 to 1 a patient: the share of its films that are as asked."""
        total = min(float(sum(right)), float(len(right)))
        low, high = confidence_sequence(total, len(right))
        return cls(value=total / len(right) if right else None, low=low, high=high, patients=len(right))
