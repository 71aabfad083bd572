import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.evaluation.comparison import Difference
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.figures.metrics import compute_metrics
from pneumo_tasks.evaluation.figures.slices import Slice
from pneumo_tasks.promotion.deciding.gate import at_least, at_most, judge
from pneumo_tasks.settings import Settings
from tests.evaluation.story import SERVED

_SHARES = st.floats(0, 1)


def test_a_value_on_its_limit_passes_with_no_margin() -> None:
    rule = at_least("test recall", 0.94, 0.94, "why")
    assert (rule.verdict, rule.margin) == ("pass", 0)


def test_the_margin_says_how_far_inside_or_outside() -> None:
    assert at_least("recall", 0.97, 0.94, "").margin == pytest.approx(0.03)
    assert at_least("recall", 0.9, 0.94, "").margin == pytest.approx(-0.04)
    assert at_most("seconds", 2.0, 3.0, "").margin == pytest.approx(1.0)
    assert at_most("seconds", 4.0, 3.0, "").verdict == "fail"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", [at_least, at_most])
def test_a_missing_or_non_finite_value_fails(rule: object, value: float | None) -> None:
    judged = rule("recall", value, 0.0, "why")  # type: ignore[operator]
    assert judged.verdict == "fail"
    assert judged.value is None
    assert judged.why.startswith("no finite value")


@given(_SHARES, _SHARES, _SHARES)
def test_a_better_value_never_turns_a_pass_into_a_fail(value: float, limit: float, gain: float) -> None:
    if at_least("recall", value, limit, "").verdict == "pass":
        assert at_least("recall", value + gain, limit, "").verdict == "pass"
    if at_most("seconds", value, limit, "").verdict == "pass":
        assert at_most("seconds", value - gain, limit, "").verdict == "pass"


def evidence() -> Evaluation:
    """A candidate's evidence with which every rule passes."""
    positive = np.arange(100) < 60
    found = compute_metrics(positive, np.where(positive, 0.9, 0.1), 0.5)
    difference = Difference(value=0.0, low=-0.01, high=0.01, bound=-0.008)
    overlap = {"snapshot_id": "x", "films": 0, "unseen": {"NORMAL": 50, "PNEUMONIA": 60}}
    champion = {
        "version": "v1",
        "overlap": overlap,
        "sha256": "0" * 64,
        "run_id": "before",
        "mcnemar": {},
        "flips": [],
    }
    versus = {"test": found, "differences": dict.fromkeys(("recall", "precision"), difference)}
    share = {"images": 60, "value": 0.95, "interval": None}
    empty = {"images": 0, "value": None, "interval": None}
    return Evaluation.model_validate(
        {
            **dict.fromkeys(("run_id", "version", "sha256", "recipe", "snapshot_id"), "x"),
            "test_set_id": "t",
            "patients": 110,
            "test_patients": {"NORMAL": 50, "PNEUMONIA": 60},
            "evaluated_at": "now",
            "looks": 1,
            "seed": 7,
            "resamples": 100,
            "synthetic": False,
            "random_backbone": False,
            "calibration": None,
            "predictive_values": [],
            "original": None,
            "trivial": found,
            "operating_point": {
                "policy": "youden",
                "target": None,
                "threshold": 0.5,
                "temperature": 1.0,
                "validation": found,
                "curve": [],
            },
            "test": found,
            "intervals": {name: {"low": 0.9, "high": 0.99} for name in ("recall", "precision")},
            "slices": [{"by": "site", "value": "A", "recall": share, "specificity": empty, "small": False}],
            "champion": champion | versus,
            "serving": SERVED,
            "occlusion": {"images": 9, "rim": 0.12, "auc": 1.0, "auc_masked": 0.99, "shift": 0.01},
            "overlap": overlap,
            "independence": [{"name": "patients in two splits", "value": 0, "limit": 0, "verdict": "pass"}],
        }
    )


def verdicts(settings: Settings, evaluation: Evaluation) -> dict[str, str]:
    return {rule.name: rule.verdict for rule in judge(settings, evaluation)}


def with_figures(figures: dict[str, float]) -> dict[str, str]:
    test = PASSING.test.model_copy(update=figures)
    return verdicts(LIMITS, PASSING.model_copy(update={"test": test}))


PASSING = evidence()
LIMITS = Settings.model_construct(min_recall_bound=0.85, min_precision_bound=0.85)


def test_every_kind_of_rule_is_there_in_the_order_of_the_report() -> None:
    found = verdicts(LIMITS, PASSING)
    assert list(found) == [
        *("test patients, NORMAL", "test patients, PNEUMONIA"),
        *("test recall", "test precision", "test AUC", "test recall, lower end", "test precision, lower end"),
        *("recall against the champion", "precision against the champion", "worst slice recall"),
        *("independence: patients in two splits", "independence: test films that the candidate has seen"),
        *("artefact loads", "artefact parity"),
        *("odd films answered", "seconds a film", "memory, MB", "AUC shift with the rim masked"),
    ]
    assert set(found.values()) == {"pass"}


def test_the_first_candidate_is_judged_by_the_floors_alone() -> None:
    found = verdicts(Settings.model_construct(), PASSING.model_copy(update={"champion": None}))
    assert not [name for name in found if "champion" in name or "lower end" in name]


@given(st.fixed_dictionaries(dict.fromkeys(("recall", "precision", "auc"), st.tuples(_SHARES, _SHARES))))
def test_making_any_figure_better_never_turns_a_pass_into_a_fail(
    figures: dict[str, tuple[float, float]],
) -> None:
    worse = with_figures({name: min(pair) for name, pair in figures.items()})
    better = with_figures({name: max(pair) for name, pair in figures.items()})
    assert all(better[name] == "pass" for name, verdict in worse.items() if verdict == "pass")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("champion", "differences", "recall"), "recall against the champion"),
        (("champion", "differences", "precision"), "precision against the champion"),
        (("intervals", "recall"), "test recall, lower end"),
        (("serving", "parity"), "artefact parity"),
        (("serving", "latency_seconds"), "seconds a film"),
        (("serving", "memory_mb"), "memory, MB"),
        (("occlusion", "shift"), "AUC shift with the rim masked"),
    ],
)
def test_missing_evidence_fails_its_rule_and_no_other(path: tuple[str, ...], name: str) -> None:
    document = PASSING.model_dump()
    part = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = None
    found = verdicts(LIMITS, Evaluation.model_validate(document))
    assert [rule for rule, verdict in found.items() if verdict == "fail"] == [name]


def test_an_artefact_that_does_not_load_says_why() -> None:
    broken = PASSING.serving.model_copy(update={"loads": False, "error": "exit 1: no such layer"})
    rules = judge(LIMITS, PASSING.model_copy(update={"serving": broken}))
    (loads,) = [rule for rule in rules if rule.name == "artefact loads"]
    assert (loads.verdict, "no such layer" in loads.why) == ("fail", True)


def test_a_slice_is_judged_only_where_it_holds_enough_images() -> None:
    (part,) = PASSING.slices
    poor = part.model_copy(update={"recall": part.recall.model_copy(update={"value": 0.5})})
    few = part.model_copy(update={"recall": poor.recall.model_copy(update={"images": 49})})
    assert verdicts(LIMITS, PASSING.model_copy(update={"slices": [poor]}))["worst slice recall"] == "fail"
    assert "worst slice recall" not in verdicts(LIMITS, PASSING.model_copy(update={"slices": [few]}))


@pytest.mark.parametrize("label", ["NORMAL", "PNEUMONIA"])
@pytest.mark.parametrize("patients", [1, 49, None])
def test_too_few_patients_of_a_class_decide_nothing(label: str, patients: int | None) -> None:
    counted = {**PASSING.test_patients, label: patients}
    few = {name: number for name, number in counted.items() if number is not None}
    found = verdicts(LIMITS, PASSING.model_copy(update={"test_patients": few}))
    assert [name for name, verdict in found.items() if verdict == "fail"] == [f"test patients, {label}"]


def test_a_test_set_that_could_not_pass_equal_models_says_how_many_patients_could() -> None:
    rules = {rule.name: rule for rule in judge(LIMITS, PASSING)}
    assert "60 ill patients cannot rule it out" in rules["recall against the champion"].why
    wider = {rule.name: rule for rule in judge(LIMITS.model_copy(update={"recall_margin": 0.1}), PASSING)}
    assert "cannot rule it out" not in wider["recall against the champion"].why


def test_small_losses_that_add_up_are_refused_by_the_original() -> None:
    champion = PASSING.champion
    assert champion is not None
    recall = champion.differences["recall"]
    assert recall is not None
    worn = recall.model_copy(update={"value": -0.03, "low": -0.05, "bound": -0.045})
    original = champion.model_copy(update={"differences": {**champion.differences, "recall": worn}})
    found = verdicts(LIMITS, PASSING.model_copy(update={"original": original}))
    assert [name for name, verdict in found.items() if verdict == "fail"] == ["recall against the original"]
    assert found["precision against the original"] == "pass"


def test_a_gap_among_slices_is_bounded_where_somebody_bounds_it() -> None:
    empty = {"images": 0, "value": None, "interval": None}
    slices = [
        Slice.model_validate(
            {"by": "site", "value": name, "specificity": empty, "small": False}
            | {"recall": {"images": 60, "value": value, "interval": None}}
        )
        for name, value in (("A", 0.99), ("B", 0.89))
    ]
    evidence = PASSING.model_copy(update={"slices": slices})
    name = "widest gap of recall among slices"
    assert name not in verdicts(LIMITS, evidence)
    for limit, verdict in ((0.1, "pass"), (0.09, "fail")):
        assert verdicts(LIMITS.model_copy(update={"slice_max_recall_gap": limit}), evidence)[name] == verdict
    alone = PASSING.model_copy(update={"slices": slices[:1]})
    assert name not in verdicts(LIMITS.model_copy(update={"slice_max_recall_gap": 0.01}), alone)
