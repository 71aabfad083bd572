"""Prospective figures: recall, specificity and alarm rate of the live version, and whether to look closer.

A pure function of the imports: the same imports give the same answer, on any day.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.figures.confidence import PatientShare
from pneumo_tasks.monitoring.detector import Stream, Watch, Week
from pneumo_tasks.monitoring.outcomes import Import, Outcome
from pneumo_tasks.settings import LABELS

HEALTHY, ILL = LABELS


@dataclass(frozen=True)
class Reference:
    """The version that is watched: its threshold, and what it reached on the locked test set."""

    version: str
    threshold: float
    recall: float
    specificity: float


@dataclass(frozen=True)
class Promise:
    """How much worse than the reference is tolerated, and the chance of a false alarm in a week."""

    recall_tolerance: float
    specificity_tolerance: float
    chance: float


class Prospective(BaseModel):
    """What the imports say. ``alarm`` opens a review; nothing is retrained or rolled back by it."""

    model_config = ConfigDict(frozen=True)

    version: str
    studies: int
    unlabelled: int
    weeks: int
    recall: PatientShare
    specificity: PatientShare
    alarm_rate: PatientShare
    evidence: float
    needed: float
    alarm: bool
    first_alarm: str | None
    loudest: tuple[str, ...]


def prospective(
    imports: Sequence[Import], reference: Reference, promise: Promise, reviewed: int = 0
) -> Prospective:
    """The figures of one version, and the state of its watch after the last import.

    The watch begins anew behind import ``reviewed``: what a person has answered for raises no alarm again.

    Figures use the diagnosis that is known now. The watch counts each study once, in the week in which its
    first diagnosis arrived: a later correction changes the figures and not what was watched already.
    """
    known: dict[str, Outcome] = {}
    for row in _rows(imports, reference.version):
        known[row.study] = row if row.diagnosis or row.study not in known else known[row.study]
    labelled = [row for row in known.values() if row.diagnosis]
    watch, weeks, first_alarm = _watched(imports, reference, promise, reviewed)
    return Prospective(
        version=reference.version,
        studies=len(known),
        unlabelled=len(known) - len(labelled),
        weeks=weeks,
        recall=_share([r for r in labelled if r.diagnosis == ILL], reference.threshold, positive=True),
        specificity=_share(
            [r for r in labelled if r.diagnosis == HEALTHY], reference.threshold, positive=False
        ),
        alarm_rate=_share(list(known.values()), reference.threshold, positive=True),
        evidence=watch.evidence,
        needed=1.0 / promise.chance,
        alarm=first_alarm is not None,
        first_alarm=first_alarm,
        loudest=tuple(name for name in watch.loudest[:3] if watch.detectors[name].evidence > 0),
    )


def _rows(imports: Iterable[Import], version: str) -> Iterable[Outcome]:
    return (row for one in imports for row in one.rows if row.version == version)


def _watched(
    imports: Sequence[Import], reference: Reference, promise: Promise, reviewed: int
) -> tuple[Watch, int, str | None]:
    """The watch after every week with a new diagnosis, their number, and the first week of an alarm."""
    arrivals: dict[str, list[Outcome]] = defaultdict(list)
    judged: set[str] = set()
    for one in imports:
        for row in one.rows:
            if row.version == reference.version and row.diagnosis and row.study not in judged:
                judged.add(row.study)
                if one.seq > reviewed:
                    arrivals[one.week].append(row)
    sites = sorted({row.site for rows in arrivals.values() for row in rows if row.site})
    watch = Watch(_streams(reference, promise, sites), promise.chance)
    first_alarm = None
    for week in arrivals:  # in the order of the imports, whatever a clock says
        watch = watch.after(_week(arrivals[week], reference.threshold, sites))
        if watch.alarm and first_alarm is None:
            first_alarm = week
    return watch, len(arrivals), first_alarm


def _streams(reference: Reference, promise: Promise, sites: Sequence[str]) -> dict[str, Stream]:
    tolerated = {
        "recall": _inside(1 - reference.recall + promise.recall_tolerance),
        "specificity": _inside(1 - reference.specificity + promise.specificity_tolerance),
    }
    whole = {name: Stream(limit) for name, limit in tolerated.items()}
    parts = {
        f"{name}, site {site}": Stream(limit, 1 / len(sites))
        for name, limit in tolerated.items()
        for site in sites
    }
    return whole | parts


def _inside(limit: float) -> float:
    return min(max(limit, 0.001), 0.999)


def _week(rows: Sequence[Outcome], threshold: float, sites: Sequence[str]) -> dict[str, Week]:
    found: dict[str, Week] = {}
    for name, label, positive in (("recall", ILL, True), ("specificity", HEALTHY, False)):
        mine = [row for row in rows if row.diagnosis == label]
        found[name] = _errors(mine, threshold, positive)
        for site in sites:
            here = [row for row in mine if row.site == site]
            found[f"{name}, site {site}"] = _errors(here, threshold, positive)
    return found


def _errors(rows: Sequence[Outcome], threshold: float, positive: bool) -> Week:
    right = _right_by_patient(rows, threshold, positive)
    return Week(sum(1 - share for share in right), len(right))


def _share(rows: Sequence[Outcome], threshold: float, positive: bool) -> PatientShare:
    return PatientShare.of(_right_by_patient(rows, threshold, positive))


def _right_by_patient(rows: Sequence[Outcome], threshold: float, positive: bool) -> list[float]:
    """For each patient the share of films whose alarm (or silence) is as ``positive`` says."""
    films: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        films[row.person].append((row.probability >= threshold) == positive)
    return [sum(answers) / len(answers) for answers in films.values()]
