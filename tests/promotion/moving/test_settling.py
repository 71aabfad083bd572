"""How a candidate ends: promoted, refused by a person, overtaken during the wait, tried out."""

import pytest

from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import rollback
from pneumo_tasks.promotion.moving.settling import settle
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.history import former_champions
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.report.note import (
    approval_request,
    former_champions_table,
    rollback_request,
    run_note,
)
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge

YES = Approval(verdict="promote", by="anna", reason="looked at the flips")
LATE = Approval(verdict="reject", by="the time limit", reason="nobody answered within 48 hours")


def report(story: Story, run_id: str) -> str:
    return story.store.read(layout.run(run_id, "report.html")).decode()


def test_an_approved_candidate_is_promoted_and_the_report_says_by_whom(
    settings: Settings, story: Story
) -> None:
    settled = settle(settings, story.store, judge(settings, story, "first"), YES)
    assert settled.seq == 1
    assert "looked at the flips" in report(story, "first")
    note = run_note(show_run(story.store, "first"))
    assert note.startswith(f"promoted {settled.version}: recall ")
    assert "; 1 batch, 308 images, 2 quarantined" in note
    assert note.endswith("approved by anna: looked at the flips")


def test_no_answer_in_time_is_a_rejection_that_says_so(settings: Settings, story: Story) -> None:
    settled = settle(settings, story.store, judge(settings, story, "first"), LATE)
    assert settled.seq is None
    assert settled.reason == "rejected by the time limit: nobody answered within 48 hours"
    assert read_pointer(story.store) == (None, None)
    run = show_run(story.store, "first")
    assert (run.state, run.decision) == ("success", "rejected")
    assert "nobody answered within 48 hours" in report(story, "first")
    assert run_note(run).count("nobody answered within 48 hours") == 1
    assert [entry.kind for entry in ledger.read_ledger(story.store)] == ["rejected"]


def test_a_champion_that_moved_during_the_wait_is_the_one_to_beat(settings: Settings, story: Story) -> None:
    """What was good enough beside no champion is compared with the new one, and may lose."""
    strict = settings.model_copy(update={"recall_margin": 0.0, "precision_margin": 0.0})
    slow = judge(strict, story, "slow", "good")
    settle(strict, story.store, judge(strict, story, "fast", "better"))
    champion = read_pointer(story.store)
    settled = settle(strict, story.store, slow, YES)
    decision = read_decision(story.store, slow)
    assert decision.champion == champion[0].version if champion[0] else None
    assert {rule.name for rule in decision.rules} >= {"recall against the champion"}
    if settled.seq is None:
        assert decision.decision == "rejected"
        assert "against the champion" in settled.reason
        assert read_pointer(story.store) == champion
    assert decision.approval == YES  # what anna said is kept, whatever came of it


def test_a_missing_approval_is_no_decision(settings: Settings, story: Story) -> None:
    careful = settings.model_copy(update={"require_approval": True})
    run_id = judge(careful, story, "first")
    with pytest.raises(PromotionRefused, match="nobody has"):
        settle(careful, story.store, run_id)
    assert show_run(story.store, run_id).state == "running"


def test_a_dry_run_changes_nothing_that_lasts(settings: Settings, story: Story) -> None:
    trial = settings.model_copy(update={"dry_run": True})
    for run_id, model, verdict in (("first", "good", "approved"), ("second", "weak", "rejected")):
        judge(trial, story, run_id, model)
        with pytest.raises(PromotionRefused, match="a dry run promotes nothing"):
            promote_model(settings, story.store, run_id, YES)
        run = show_run(story.store, run_id)
        assert (run.state, run.decision) == ("success", "dry-run")
        assert run.reason.startswith(f"would be {verdict}: ")
        assert run_note(run).startswith("dry run ")
    assert ledger.read_ledger(story.store) == []
    assert read_pointer(story.store) == (None, None)
    assert not list(story.store.list_objects(layout.dataset(SNAPSHOT, "decisions/")))
    decide_promotion(settings, story.store, "first", SNAPSHOT)
    assert list(story.store.list_objects(layout.dataset(SNAPSHOT, "decisions/")))


def test_former_champions_are_those_that_a_rollback_can_bring_back(settings: Settings, story: Story) -> None:
    first, second = [
        settle(settings, story.store, judge(settings, story, run_id, model)).version
        for run_id, model in (("first", "good"), ("second", "better"))
    ]
    assert [chapter.version for chapter in former_champions(story.store)] == [first]
    versions, table = former_champions_table(story.store)
    assert versions == [first]
    assert f"| {first} |" in table
    asked = rollback_request(story.store, str(first), "false *alarms*\n# loud", "ben", "card")
    assert f"From **{second}** back to **{first}**" in asked
    assert r"> false \*alarms\* \# loud" in asked
    rollback(settings, story.store, str(first), ChangeRequest(reason="alarms", by="ben"))
    assert [chapter.version for chapter in former_champions(story.store)] == [second]


def test_a_reviewer_is_asked_with_the_figures_and_the_report(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    asked = approval_request(story.store, run_id, "https://airflow/pneumo/run?run_id=first")
    run = show_run(story.store, run_id)
    assert f"Candidate **{run.version}** passed {len(run.rules)} of {len(run.rules)} rules" in asked
    assert "it would be the first" in asked
    assert "(https://airflow/pneumo/run?run_id=first)" in asked
    assert "| recall | 1.000 | – |" in asked or "| recall | 0." in asked
