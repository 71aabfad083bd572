"""How much the films of one patient repeat each other: design effects for counts of films."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.settings import LABELS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class WorstEffects:
    """For each class, the design effect if all films of a patient said the same (Kish 1965)."""

    recall: float
    specificity: float

    @classmethod
    def of(cls, positive: NDArray[np.bool_], codes: NDArray[np.intp]) -> Self:
        return cls(kish_effect(codes[positive]), kish_effect(codes[~positive]))


def kish_effect(codes: NDArray[np.intp]) -> float:
    """The sum of squared films a patient over the number of films; 1 with one film a patient, or none."""
    if not len(codes):
        return 1.0
    films = np.bincount(codes).astype(np.float64)
    return float((films**2).sum() / films.sum())


def share_effect(share: float, films: float, variance: float, worst: float) -> float:
    """The design effect of a share whose resamples have ``variance``; never less than 1.

    Beside the misses that were seen counts one more whose patient's films were all missed: from no
    miss, or three, nobody can tell how misses cluster. With none missed it is ``worst``.
    """
    misses = films * share * (1 - share)
    seen = variance * films**2
    return max(1.0, (seen + worst) / (misses + 1))


def patients_of_each_class(scores: "pd.DataFrame") -> dict[str, int]:
    """How many patients have a film of each label; a class without films counts 0."""
    found = scores.groupby("label")["patient"].nunique()
    return {label: int(found.get(label, 0)) for label in LABELS}
