"""A year of promotions, not one: what a candidate may cost against every version that judged these films.

Each single loss that a gate allows is small, and they add up. So a step down is never free. A
candidate that is nowhere below the champion and the best version so far, on the same films, costs
nothing; any other is a *sideways step*, asked for by name, and each asking spends a part of an error
budget whatever comes of it. With ``steps`` askings at the level ``total / steps`` the chance that one
of them promotes a version truly worse than the best by the margin is at most ``total``, however the
askings depend on each other (Bonferroni's inequality: alpha spending in equal parts).

The free steps have no such theorem: a lineage is chosen by the films that judge it. Their figure on
those films never falls, and ``benchmarks/year.py`` simulates what that is worth (docs/statistics.md).
New test patients refill the budget, because they are films that no promotion was chosen by.
"""

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import norm

from pneumo_tasks.evaluation.comparison import Pairs
from pneumo_tasks.evaluation.figures.paired_bound import films_needed, score_bound


class ErrorBudget(BaseModel):
    """``total``: the chance, over a test set's life, to promote by a sideways step what is truly worse.

    ``margins`` are the losses of recall and specificity to the best version so far that count as worse.
    """

    model_config = ConfigDict(frozen=True)

    total: float = Field(0.05, gt=0, lt=1)
    steps: int = Field(4, ge=1)
    margins: Mapping[str, float] = {"recall": 0.03, "specificity": 0.05}

    @property
    def level(self) -> float:
        """What one asking spends."""
        return self.total / self.steps

    def left(self, asked: int) -> float:
        """What is left after ``asked`` sideways steps were asked for, granted or not."""
        return max(0.0, self.total - asked * self.level)

    def refill(self, asked: int, patients: int, new_patients: int) -> int:
        """The askings that still count after ``new_patients`` joined the ``patients`` of the class.

        A test set twice as large has one whole budget more; what was asked is never less than 0.
        """
        return max(0, asked - math.floor(self.steps * new_patients / patients))

    def bound(self, pairs: Pairs) -> float:
        """The difference that is ruled out from below at the level of one asking."""
        z = float(norm.isf(self.level))
        return float(score_bound(pairs.gained, pairs.lost, pairs.films, z))

    def keeps(self, name: str, pairs: Pairs) -> bool:
        """A true loss of more than the margin is ruled out at the level of one asking."""
        return self.bound(pairs) >= -self.margins[name]

    def patients_needed(self, differ: float = 0.0) -> dict[str, int]:
        """Independent patients of each class before an equal version passes a sideways step half the time.

        ``differ`` is the share of films whose verdict changes, as often for better as for worse.
        """
        return {
            "PNEUMONIA": patients_needed(self.margins["recall"], self.level, differ),
            "NORMAL": patients_needed(self.margins["specificity"], self.level, differ),
        }


def patients_needed(margin: float, level: float, differ: float = 0.0) -> int:
    """The fewest patients with whom equal versions that differ on a share ``differ`` pass ``margin``.

    ``level`` is the chance of passing a version that has truly lost the margin. ValueError where
    ``margin`` or ``level`` lies outside (0, 1), or ``differ`` outside [0, 1].
    """
    if not (0 < margin < 1 and 0 < level < 1 and 0 <= differ <= 1):
        raise ValueError(f"margin {margin:g}, level {level:g} and differ {differ:g} must be shares")
    z = float(norm.isf(level))
    if level >= 0.5:
        return 1
    low, high = 1, films_needed(margin, z)
    while float(score_bound(differ * high / 2, differ * high / 2, high, z)) < -margin:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        passes = float(score_bound(differ * middle / 2, differ * middle / 2, middle, z)) >= -margin
        low, high = (low, middle) if passes else (middle + 1, high)
    return high
