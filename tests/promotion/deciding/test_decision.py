import pytest

from pneumo_tasks.errors import UnsafeStore
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.evaluation.revisions import revise
from pneumo_tasks.promotion.deciding.decision import decide_promotion, record_nothing_new
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger.ledger import read_ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge


def test_a_candidate_above_every_floor_is_approved(settings: Settings, story: Story) -> None:
    run_id = story.run("first")
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    assert decide_promotion(settings, story.store, run_id, SNAPSHOT).decision == "approved"
    assert story.store.exists(layout.dataset_decision(SNAPSHOT, run_id))
    assert show_run(story.store, run_id).state == "running"


def test_the_reason_names_the_rule_the_value_and_the_limit(settings: Settings, story: Story) -> None:
    run_id = story.run("first", "weak")
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    decision = read_decision(story.store, run_id)
    assert decision.decision == "rejected"
    failed = [rule for rule in decision.rules if rule.verdict == "fail"]
    assert failed
    for rule in failed:
        assert rule.name in decision.reason
    assert "below its limit" in decision.reason


def test_the_decision_alone_holds_the_figures_that_a_list_of_runs_shows(
    settings: Settings, story: Story
) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    judge(settings, story, "second", "weak")
    first, second = (read_decision(story.store, name).figures for name in ("first", "second"))
    assert first is not None
    assert first.change is None
    assert second is not None
    evaluation = read_evaluation(story.store, "second")
    assert second.recall == evaluation.test.recall
    assert second.recall_interval == evaluation.intervals["recall"]
    assert second.change is not None
    assert second.change["recall"] == pytest.approx((second.recall or 0) - (first.recall or 0))


def test_an_undefined_metric_fails_its_rule(settings: Settings, story: Story) -> None:
    run_id = story.run("first")
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    evidence = story.store.read_json(layout.run(run_id, "evaluation.json"))
    evidence["test"]["recall"] = None
    revise(story.store, run_id, "evaluation", evidence)
    assert decide_promotion(settings, story.store, run_id, SNAPSHOT).decision == "rejected"
    assert "no finite value" in read_decision(story.store, run_id).reason


@pytest.mark.parametrize("snapshot_id", [None, SNAPSHOT])
def test_a_run_with_nothing_new_says_so(story: Story, snapshot_id: str | None) -> None:
    record_nothing_new(story.store, "quiet", snapshot_id, "no new image was accepted")
    run = show_run(story.store, "quiet")
    assert (run.state, run.decision, run.reason) == ("success", "nothing-new", "no new image was accepted")


def test_a_store_that_failed_its_own_test_decides_no_snapshot(
    story: Story, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(store: ObjectStore) -> None:
        raise UnsafeStore("the store ignored If-None-Match: *")

    decided = layout.dataset(SNAPSHOT, "decisions/")
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "check_conditional_writes", fails)
        run_id = judge(settings, story, "unsafe")
    assert read_decision(story.store, run_id).decision == "rejected"
    assert list(story.store.list_objects(decided)) == []
    assert read_ledger(story.store) == []
    judge(settings, story, "weak", "weak")
    assert len(list(story.store.list_objects(decided))) == 1
