"""The gate: an ordered list of rules, each a pure function of the evidence.

A value that is missing or not finite fails its rule: a gate that cannot see stays shut.
"""

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.paired_bound import films_needed, smallest_bound
from pneumo_tasks.settings import LABELS, Settings

Verdict = Literal["pass", "fail"]

# Float32 sums in another order on another machine; a real difference of models is far greater.
PARITY = 1e-3

# The settings that a replay may try out.
LIMITS = (
    *("min_recall", "min_precision", "min_auc", "min_recall_bound", "min_precision_bound"),
    *("recall_margin", "precision_margin", "min_test_patients"),
    *("original_recall_margin", "original_precision_margin"),
    *("slice_min_images", "slice_min_recall", "slice_min_specificity"),
    *("max_occlusion_shift", "max_latency_seconds", "max_memory_mb"),
)


class Rule(BaseModel):
    """A verdict with what it rests on; ``margin`` is how far inside (+) or outside (-) the limit."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float | None
    limit: float
    margin: float | None
    verdict: Verdict
    why: str


def judge(settings: Settings, evaluation: Evaluation) -> list[Rule]:
    """All rules, in the order of the report; the candidate may be promoted if every one passes."""
    return [
        *_enough_patients(settings, evaluation),
        *_floors(settings, evaluation),
        *_not_inferior(settings, evaluation, "champion", ""),
        *_not_inferior(settings, evaluation, "original", "original_"),
        *_slices(settings, evaluation),
        *_independence(evaluation),
        *_serving(settings, evaluation),
        at_most(
            "AUC shift with the rim masked",
            evaluation.occlusion.shift,
            settings.max_occlusion_shift,
            f"the outer {evaluation.occlusion.rim:.0%} of a film holds no lung",
        ),
    ]


def at_least(name: str, value: float | None, limit: float, why: str) -> Rule:
    """Pass where ``value`` is a finite number not below ``limit``."""
    return _judge(name, value, limit, why, sign=1)


def at_most(name: str, value: float | None, limit: float, why: str) -> Rule:
    """Pass where ``value`` is a finite number not above ``limit``."""
    return _judge(name, value, limit, why, sign=-1)


def _enough_patients(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    """Whatever the figures say, few patients cannot carry them."""
    for label in LABELS:
        yield at_least(
            f"test patients, {label}",
            evaluation.test_patients.get(label),
            settings.min_test_patients,
            "fewer patients decide nothing: add test patients of this class",
        )


def _floors(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    test = evaluation.test
    yield at_least("test recall", test.recall, settings.min_recall, "share of the pneumonias that are found")
    yield at_least(
        "test precision", test.precision, settings.min_precision, "share of the alarms that are right"
    )
    yield at_least("test AUC", test.auc, settings.min_auc, "no threshold can mend a poor ranking")
    for name, floor in (("recall", settings.min_recall_bound), ("precision", settings.min_precision_bound)):
        if floor > 0:
            found = evaluation.intervals.get(name)
            yield at_least(
                f"test {name}, lower end",
                found.low if found else None,
                floor,
                "lower end of the 95 % interval",
            )


def _not_inferior(
    settings: Settings, evaluation: Evaluation, role: Literal["champion", "original"], prefix: str
) -> Iterator[Rule]:
    """On the same images: with 95 % confidence no more than the margin is lost to the other version.

    Steps that the champion allows one by one add up; the original allows only their sum.
    """
    other = evaluation.champion if role == "champion" else evaluation.original
    if other is None:
        return
    for name in ("recall", "precision"):
        margin = getattr(settings, f"{prefix}{name}_margin")
        difference = other.differences.get(name)
        hint = _too_few(evaluation, margin) if name == "recall" else ""
        lost = f"a loss of more than {margin * 100:g} points to the {role} must be ruled out"
        found = "" if difference is None else f"; found {difference.value * 100:+.1f} points{hint}"
        yield at_least(
            f"{name} against the {role}", difference.bound if difference else None, -margin, lost + found
        )


def _too_few(evaluation: Evaluation, margin: float) -> str:
    """What to add to the reason where not even two models that never differ could pass."""
    patients = evaluation.test_patients.get("PNEUMONIA")
    if not patients or not 0 < margin < 1 or smallest_bound(patients) >= -margin:
        return ""
    return (
        f"; {patients} ill patients cannot rule it out of equal models either, {films_needed(margin)} could"
    )


def _slices(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    """The worst slice that holds enough images of the class; none is no reason to refuse."""
    for name, floor in (
        ("recall", settings.slice_min_recall),
        ("specificity", settings.slice_min_specificity),
    ):
        judged = [
            (share.value, f"{part.by} {part.value}, {share.images} images")
            for part in evaluation.slices
            if (share := getattr(part, name)).images >= settings.slice_min_images and share.value is not None
        ]
        if judged and floor > 0:
            worst, where = min(judged)
            yield at_least(f"worst slice {name}", worst, floor, where)


def _independence(evaluation: Evaluation) -> Iterator[Rule]:
    for check in evaluation.independence:
        yield at_most(f"independence: {check.name}", check.value, check.limit, "train and test share nothing")


def _serving(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    served = evaluation.serving
    why = "in safe mode, in a fresh process without our code"
    yield at_least(
        "artefact loads", float(served.loads), 1, f"{why}: {served.error}" if served.error else why
    )
    yield at_most("artefact parity", served.parity, PARITY, "the fresh process answers as the evaluation did")
    yield at_least(
        "odd films answered",
        served.odd_films_answered,
        served.odd_films,
        "blank, tiny, long, large and saturated films get a finite probability",
    )
    yield at_most(
        "seconds a film", served.latency_seconds, settings.max_latency_seconds, "median over single films"
    )
    yield at_most("memory, MB", served.memory_mb, settings.max_memory_mb, "peak of the serving process")


def _judge(name: str, value: float | None, limit: float, why: str, sign: int) -> Rule:
    if value is None or not math.isfinite(value):
        return Rule(
            name=name, value=None, limit=limit, margin=None, verdict="fail", why=f"no finite value: {why}"
        )
    # Margins are shares of counts; beyond twelve digits there is only floating-point noise.
    margin = round(sign * (value - limit), 12)
    return Rule(
        name=name,
        value=float(value),
        limit=limit,
        margin=margin,
        verdict="pass" if margin >= 0 else "fail",
        why=why,
    )
