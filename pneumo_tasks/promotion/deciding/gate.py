"""The gate: an ordered list of rules, each a pure function of the evidence.

A value that is missing or not finite fails its rule: a gate that cannot see stays shut.
"""

import math
from collections.abc import Iterator

from pneumo_tasks.evaluation.comparison import Comparison
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.figures.gaps import FIGURES, slice_gaps
from pneumo_tasks.evaluation.figures.paired_bound import films_needed, smallest_bound
from pneumo_tasks.evaluation.independence import Overlap
from pneumo_tasks.promotion.deciding.prevalence import precision_at, precision_interval
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.settings import LABELS, Settings

# Float32 sums in another order on another machine; a real difference of models is far greater.
PARITY = 1e-3

# The settings that a replay may try out.
LIMITS = (
    *("min_recall", "min_precision", "min_auc", "min_recall_bound", "min_precision_bound"),
    *("min_specificity", "min_precision_at_prevalence", "stated_prevalence", "min_unseen_recall"),
    *("recall_margin", "precision_margin", "min_test_patients", "free_step"),
    *("original_recall_margin", "original_precision_margin"),
    *("slice_min_images", "slice_min_recall", "slice_min_specificity"),
    *("slice_max_recall_gap", "slice_max_specificity_gap"),
    *("max_occlusion_shift", "max_latency_seconds", "max_memory_mb"),
)


def judge(settings: Settings, evaluation: Evaluation) -> list[Rule]:
    """All rules, in the order of the report; the candidate may be promoted if every one passes."""
    return [
        *_enough_patients(settings, evaluation),
        *_floors(settings, evaluation),
        *_floors_at_any_mix(settings, evaluation),
        *_not_inferior(settings, evaluation, evaluation.champion, "champion", ""),
        *_not_inferior(settings, evaluation, evaluation.original, "original", "original_"),
        *_not_below_the_best(settings, evaluation),
        *_slices(settings, evaluation),
        *_gaps(settings, evaluation),
        *_independence(evaluation),
        *_unseen(settings, evaluation.champion, "champion"),
        *_unseen(settings, evaluation.original, "original"),
        *(rule for other in evaluation.rivals for rule in _unseen(settings, other, other.version)),
        *_serving(settings, evaluation),
        at_most(
            "AUC shift with the rim masked",
            evaluation.occlusion.shift,
            settings.max_occlusion_shift,
            f"the outer {evaluation.occlusion.rim:.0%} of a film holds no lung",
        ),
    ]


def as_agreed(settings: Settings, evaluation: Evaluation) -> Rule:
    """The evidence was made as the settings say: threshold policy, its target, and resamples enough."""
    point, policy = evaluation.operating_point, settings.threshold_policy
    targets = {"target_recall": settings.target_recall, "cost": settings.missed_case_price}
    asked = (policy, targets.get(policy))
    kept = (point.policy, point.target) == asked and evaluation.resamples >= settings.resamples
    found = f"found {point.policy} {point.target or ''} with {evaluation.resamples} resamples"
    why = f"the protocol says {asked[0]} {asked[1] or ''} with {settings.resamples} resamples; {found}"
    return at_least("evidence made as agreed", float(kept), 1, why)


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


def _floors_at_any_mix(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    """Judged where somebody set a floor: the share of ill films in the test set cannot move them."""
    test, found = evaluation.test, evaluation.intervals
    if settings.min_specificity > 0:
        why = "share of the healthy that raise no alarm"
        yield at_least("test specificity", test.specificity, settings.min_specificity, why)
    if settings.min_precision_at_prevalence > 0:
        share = settings.stated_prevalence
        recall, specificity = ((getattr(test, name), found.get(name)) for name in ("recall", "specificity"))
        ends = precision_interval(recall, specificity, share)
        said = f"; 95 % interval {ends.low:.3f} to {ends.high:.3f}" if ends else ""
        yield at_least(
            f"precision at a prevalence of {share * 100:g} %",
            precision_at(test.recall, test.specificity, share),
            settings.min_precision_at_prevalence,
            f"share of the alarms that are right where so many are ill{said}",
        )


def _not_below_the_best(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    """The version that leaves the candidate least room, of those that were the best so far."""
    if evaluation.rivals:

        def room(other: Comparison) -> float:
            found = [other.differences.get(name) for name in ("recall", "precision")]
            return min((difference.bound if difference else -1.0) for difference in found)

        best = min(evaluation.rivals, key=room)
        yield from _not_inferior(settings, evaluation, best, "best so far", "original_")


def _not_inferior(
    settings: Settings, evaluation: Evaluation, other: Comparison | None, role: str, prefix: str
) -> Iterator[Rule]:
    """On the same images: with 95 % confidence no more than the margin is lost to the other version.

    Steps that the champion allows one by one add up; the original allows only their sum.
    """
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


def _gaps(settings: Settings, evaluation: Evaluation) -> Iterator[Rule]:
    """The widest gap of any kind of slice, where somebody set a limit; slices too small are no gap."""
    gaps = slice_gaps(evaluation.slices, settings.slice_min_images)
    for figure in FIGURES:
        limit: float = getattr(settings, f"slice_max_{figure}_gap")
        widest = next((gap for gap in gaps if gap.figure == figure), None)
        if widest and limit < 1:
            where = f"{widest.by}: {widest.best} against {widest.worst}"
            yield at_most(f"widest gap of {figure} among slices", widest.value, limit, where)


def _independence(evaluation: Evaluation) -> Iterator[Rule]:
    for check in evaluation.independence:
        yield at_most(f"independence: {check.name}", check.value, check.limit, "train and test share nothing")
    found = evaluation.overlap
    yield at_most(
        "independence: test films that the candidate has seen",
        found.films if found else None,
        0,
        _why_seen(found, "neither a test film nor another film of its patient was trained on"),
    )


def _unseen(settings: Settings, other: Comparison | None, role: str) -> Iterator[Rule]:
    """Where the other model has seen test films, or nobody can tell, enough patients must remain."""
    if other is None or (other.overlap and other.overlap.films == 0):
        return
    found = other.overlap
    for label in LABELS:
        yield at_least(
            f"test patients that the {role} has not seen, {label}",
            found.unseen.get(label) if found else None,
            settings.min_test_patients,
            _why_seen(found, f"the {role} is compared on films that it was not trained on, and on no other"),
        )


def _why_seen(found: Overlap | None, why: str) -> str:
    if found is None:
        return f"{why}; this evaluation did not look: clear evaluate_candidate"
    return f"{why}; {found.fault}" if found.fault else why


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
