"""A year, not a week: what no step down is free of, and what a sideways step spends."""

from typing import Any

import pytest

from pneumo_tasks.evaluation.comparison import Comparison, Difference, Pairs
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.promotion.deciding.decision import decide_promotion, replay
from pneumo_tasks.promotion.deciding.gate import judge
from pneumo_tasks.promotion.deciding.steps import Asking, past_askings, step_rules, still_counting
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.protocol.budget import ErrorBudget
from pneumo_tasks.promotion.registry.champion import champion_ref
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.settings import Settings
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.deciding.test_gate import LIMITS, PASSING
from tests.promotion.judging import judge as judge_run

PATIENTS = {"NORMAL": 234, "PNEUMONIA": 390}


def other(version: str, recall: float = 0.0, specificity: float = 0.0, films: float = 390) -> Comparison:
    """A version that the candidate differs from by so many shares of its films."""
    assert PASSING.champion is not None
    values = {"recall": recall, "specificity": specificity, "precision": 0.0}

    def pair(value: float) -> Pairs:
        return Pairs(gained=max(value, 0) * films, lost=max(-value, 0) * films, films=films)

    return PASSING.champion.model_copy(
        update={
            "version": version,
            "differences": {
                name: Difference(value=value, low=value - 0.01, high=value + 0.01, bound=value - 0.01)
                for name, value in values.items()
            },
            "pairs": {name: pair(values[name]) for name in ("recall", "specificity")},
        }
    )


def evaluation(**others: Any) -> Evaluation:
    return PASSING.model_copy(update={"test_patients": PATIENTS, **others})


def rules(found: Evaluation, sideways: str = "", asked: int = 0, **more: Any) -> dict[str, Rule]:
    settings = LIMITS.model_copy(update={"sideways": sideways, **more})
    return {rule.name: rule for rule in step_rules(settings, ErrorBudget(), found, asked)[0]}


def verdicts(found: Evaluation, sideways: str = "", asked: int = 0, **more: Any) -> set[str]:
    return {rule.verdict for rule in rules(found, sideways, asked, **more).values()}


def test_what_is_below_no_version_so_far_is_free_and_spends_nothing() -> None:
    found = evaluation(champion=other("v2", 0.01), original=other("v0"), rivals=[other("v1", 0.0, 0.01)])
    judged, spending = step_rules(LIMITS, ErrorBudget(), found, 0)
    assert {rule.verdict for rule in judged} == {"pass"}
    assert (spending.asked, spending.left) == (0, 0.05)
    assert "left 0.05; 59 NORMAL and 98 PNEUMONIA new test patients" in judged[0].why


@pytest.mark.parametrize("place", ["champion", "original", "rivals"])
@pytest.mark.parametrize("figure", ["recall", "specificity"])
def test_one_film_below_any_version_in_either_figure_is_refused(place: str, figure: str) -> None:
    worse = other("v1", **{figure: -1 / 390})
    versions: dict[str, Any] = {"champion": other("v2", 0.01, 0.01), "original": None, "rivals": []}
    versions[place] = [worse] if place == "rivals" else worse
    failed = [name for name, rule in rules(evaluation(**versions)).items() if rule.verdict == "fail"]
    assert failed == [f"{figure} against every version so far"]
    assert verdicts(evaluation(**versions), free_step=0.01) == {"pass"}


def test_a_named_sideways_step_is_granted_within_the_margins_and_spends_its_part() -> None:
    found = evaluation(champion=other("v2", -1 / 390))
    judged, spending = step_rules(
        LIMITS.model_copy(update={"sideways": "a new site"}), ErrorBudget(), found, 1
    )
    assert [rule.name for rule in judged] == [
        "recall after a sideways step", "specificity after a sideways step", "error budget",
    ]  # fmt: skip
    assert {rule.verdict for rule in judged} == {"pass"}
    assert (spending.asked, spending.left) == (2, pytest.approx(0.025))
    assert verdicts(evaluation(champion=other("v2", -12 / 390)), "a new site") == {"pass", "fail"}


def test_a_spent_budget_says_so_and_what_refills_it() -> None:
    rule = rules(evaluation(champion=other("v2", -1 / 390)), "a new site", asked=4)["error budget"]
    assert (rule.value, rule.verdict) == (0.0, "fail")
    assert "left 0; 59 NORMAL and 98 PNEUMONIA new test patients give one step back" in rule.why


def test_a_dry_run_asks_for_no_sideways_step() -> None:
    assert "error budget" not in rules(evaluation(champion=other("v2", -1 / 390)), "a site", dry_run=True)


def test_evidence_of_an_older_release_pays_for_no_sideways_step() -> None:
    old = other("v2", -1 / 390).model_copy(update={"pairs": {}})
    assert rules(evaluation(champion=old), "a new site")["recall after a sideways step"].value is None


def test_the_best_so_far_is_judged_by_the_cumulative_margin() -> None:
    found = evaluation(champion=other("v2"), rivals=[other("v1", -0.025), other("v0", 0.01)])
    judged = {rule.name: rule for rule in judge(LIMITS, found)}
    assert judged["recall against the champion"].verdict == "pass"
    assert judged["recall against the best so far"].verdict == "fail"


def test_new_test_patients_of_both_classes_give_an_asking_back() -> None:
    asking = Asking(run_id="a", sideways="site", test_set_id="t", test_patients=PATIENTS, at="2026")
    grown = {"NORMAL": 234 + 59, "PNEUMONIA": 390 + 98}
    assert still_counting(ErrorBudget(), [asking] * 3, PATIENTS) == 3
    assert still_counting(ErrorBudget(), [asking] * 3, grown) == 2
    assert still_counting(ErrorBudget(), [asking] * 3, {**grown, "NORMAL": 234}) == 3
    assert still_counting(ErrorBudget(), [asking] * 3, {}) == 3


def test_a_run_that_asks_leaves_its_asking_in_the_bucket_once_and_the_next_run_counts_it(
    settings: Settings, story: Story
) -> None:
    strict = settings.model_copy(update={"free_step": 0.0, "sideways": "a new site"})
    promote_model(settings, story.store, judge_run(settings, story, "first", "better"))
    judge_run(strict, story, "second", "weak")
    spending = read_decision(story.store, "second").spending
    assert spending is not None
    assert (spending.sideways, spending.asked) == ("a new site", 1)
    decide_promotion(strict, story.store, "second", SNAPSHOT)
    replay(strict, story.store, "second")
    assert [asking.run_id for asking in past_askings(story.store, but="")] == ["second"]
    judge_run(strict, story, "third", "weak")
    again = read_decision(story.store, "third").spending
    assert again is not None
    assert again.asked == 2
    assert "(2 sideways steps asked for)" in again.sentence


def test_the_best_version_so_far_is_measured_beside_champion_and_original(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poor original, a good second, a poor third by whatever way: the fourth meets the second again."""
    for name in ("MIN_RECALL", "MIN_PRECISION", "MIN_AUC", "SLICE_MIN_RECALL"):
        monkeypatch.setenv(f"PNEUMO_{name}", "0")
    for name in ("MAX_OCCLUSION_SHIFT", "FREE_STEP", "RECALL_MARGIN", "PRECISION_MARGIN"):
        monkeypatch.setenv(f"PNEUMO_{name}", "1")
    monkeypatch.setenv("PNEUMO_ORIGINAL_RECALL_MARGIN", "1")
    monkeypatch.setenv("PNEUMO_ORIGINAL_PRECISION_MARGIN", "1")
    lax, versions = Settings.load(), {}
    for run_id, model in (("first", "weak"), ("second", "good"), ("third", "weak")):
        versions[run_id] = promote_model(lax, story.store, judge_run(lax, story, run_id, model)).version
    reference = champion_ref(story.store)
    assert reference is not None
    assert reference.original is not None
    assert reference.original.version == versions["first"]
    assert [rival.version for rival in reference.rivals] == [versions["second"]]
    judge_run(lax.model_copy(update={"free_step": 0.0}), story, "fourth", "weak")
    assert [found.version for found in read_evaluation(story.store, "fourth").rivals] == [versions["second"]]
    failed = [rule.name for rule in read_decision(story.store, "fourth").rules if rule.verdict == "fail"]
    assert failed == ["recall against every version so far", "specificity against every version so far"]
