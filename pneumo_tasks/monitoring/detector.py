"""The detector: has a share of errors risen above what is tolerated, at some week that nobody knows?

A confidence sequence over everything since the promotion dilutes a sudden loss with the good weeks before.
This is an e-detector (Shin, Ramdas and Rinaldo 2024, New England Journal of Statistics in Data Science 2):
a sum over all possible weeks of change of an e-process that begins there. While the share stays at or below
the limit, the mean time to the first alarm is at least 1 / chance weeks, for any number of looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

# How far above the limit the share may have risen: on the scale of odds, from a little to a disaster.
_ODDS = (1.5, 2.0, 3.0, 6.0)


@dataclass(frozen=True)
class Week:
    """Errors and patients of one week in one stream; ``errors`` sums one value from 0 to 1 a patient."""

    errors: float
    patients: int


@dataclass(frozen=True)
class Detector:
    """Evidence that the share of errors exceeds ``limit`` (0 < limit < 1); immutable, ``after`` a week.

    ``sums`` holds the detector's value for each alternative of ``_ODDS``. They start at 0.
    """

    limit: float
    sums: tuple[float, ...] = (0.0,) * len(_ODDS)

    def after(self, week: Week) -> "Detector":
        """The detector one week later; a week without patients brings no evidence either way."""
        if not 0 <= week.errors <= week.patients:
            raise ValueError(f"{week.errors} errors of {week.patients} patients")
        if week.patients == 0:
            return self
        ratios = likelihood_ratios(self.limit, np.array(week.errors), np.array(week.patients))
        grown = (1.0 + np.array(self.sums)) * ratios
        return replace(self, sums=tuple(map(float, np.minimum(grown, 1e300))))

    @property
    def evidence(self) -> float:
        """The mean over the alternatives: above 1 / chance it is an alarm."""
        return float(np.mean(self.sums))


def likelihood_ratios(
    limit: float, errors: NDArray[np.float64], patients: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How much likelier each alternative makes these counts than ``limit`` does; last axis: alternatives.

    For a share at or below the limit the expectation is at most 1, also for values between 0 and 1.
    """
    odds = np.array(_ODDS) * limit / (1.0 - limit)
    risen = odds / (1.0 + odds)
    hits, misses = np.asarray(errors)[..., None], np.asarray(patients - errors)[..., None]
    logs = hits * np.log(risen / limit) + misses * np.log((1.0 - risen) / (1.0 - limit))
    ratios: NDArray[np.float64] = np.exp(np.minimum(logs, 600.0))
    return ratios


@dataclass(frozen=True)
class Stream:
    """What is watched: the share of errors that is tolerated, and its weight among the streams."""

    limit: float
    weight: float = 1.0


@dataclass(frozen=True)
class Watch:
    """Several streams under one promise: recall and specificity, of all films and of each site.

    A weighted mean of e-detectors is one, so the bound on false alarms holds for all streams together.
    """

    streams: Mapping[str, Stream]
    chance: float
    detectors: Mapping[str, Detector] = field(default_factory=dict)

    def after(self, week: Mapping[str, Week]) -> "Watch":
        """The watch one week later; a stream that is missing had no patients."""
        unknown = sorted(set(week) - set(self.streams))
        if unknown:
            raise ValueError(f"unknown streams {', '.join(unknown)}")
        moved = {
            name: (self.detectors.get(name) or Detector(stream.limit)).after(week.get(name, Week(0.0, 0)))
            for name, stream in self.streams.items()
        }
        return replace(self, detectors=moved)

    @property
    def evidence(self) -> float:
        """The weighted mean over the streams; 0 before the first week."""
        whole = sum(stream.weight for stream in self.streams.values())
        return (
            sum(self.streams[name].weight * found.evidence for name, found in self.detectors.items()) / whole
        )

    @property
    def alarm(self) -> bool:
        """Whether a person has to look: without a change at most once in 1 / chance weeks, on average."""
        return self.evidence >= 1.0 / self.chance

    @property
    def loudest(self) -> Sequence[str]:
        """The streams by their evidence, the loudest first: where to look."""
        return sorted(self.detectors, key=lambda name: -self.detectors[name].evidence)
