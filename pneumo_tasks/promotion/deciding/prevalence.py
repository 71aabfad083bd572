"""Figures that the class mix of the test set cannot move: precision at a stated prevalence, net benefit."""

import math

from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.metrics import predictive_values


def precision_at(recall: float | None, specificity: float | None, prevalence: float) -> float | None:
    """The share of alarms that are right where a share ``prevalence`` is ill (Bayes); None if undefined."""
    if recall is None or specificity is None:
        return None
    return predictive_values(recall, specificity, prevalence)[0]


def precision_interval(
    recall: tuple[float | None, Interval | None],
    specificity: tuple[float | None, Interval | None],
    prevalence: float,
) -> Interval | None:
    """The 95 % interval of ``precision_at``, from those of recall and specificity; None without them.

    Precision grows with log(recall) - log(1 - specificity), whose interval is put together from those of
    the two terms (MOVER, Zou & Donner 2008): films of one class say nothing of the other. Where no healthy
    film was called ill the logarithm has no value, and each end takes the ends of both.
    """
    (found, ill), (kept, healthy) = recall, specificity
    if found is None or kept is None or ill is None or healthy is None:
        return None
    alarms = 1 - kept
    if min(found, ill.low, alarms, 1 - healthy.high) <= 0:
        ends = (
            precision_at(ill.low, healthy.low, prevalence),
            precision_at(ill.high, healthy.high, prevalence),
        )
        return None if None in ends else Interval(low=ends[0] or 0.0, high=ends[1] or 0.0)
    ratio = math.log(found / alarms)
    down = math.hypot(math.log(found / ill.low), math.log((1 - healthy.low) / alarms))
    up = math.hypot(math.log(ill.high / found), math.log(alarms / (1 - healthy.high)))
    return Interval(low=_precision(ratio - down, prevalence), high=_precision(ratio + up, prevalence))


def net_benefit(
    recall: float | None, specificity: float | None, prevalence: float, threshold: float
) -> float | None:
    """Ill children found, less the false alarms at their weight, a child (Vickers & Elkin 2006).

    ``threshold`` is the probability from which a person would act: one missed child weighs as much as
    (1 - threshold) / threshold false alarms.
    """
    if recall is None or specificity is None:
        return None
    weight = threshold / (1 - threshold)
    return recall * prevalence - (1 - specificity) * (1 - prevalence) * weight


def _precision(log_ratio: float, prevalence: float) -> float:
    return 1 / (1 + math.exp(-log_ratio) * (1 - prevalence) / prevalence)
