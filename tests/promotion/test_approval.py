import pytest

from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import reject_candidate
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import rollback
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.history import read_history
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.settings import Settings
from tests.evaluation.story import Story
from tests.promotion.judging import judge

YES = Approval(verdict="promote", by="anna", reason="looked at the flips")
NO = Approval(verdict="reject", by="anna", reason="the misses are all infants")


def test_who_approved_and_why_is_in_the_ledger_the_decision_and_the_history(
    settings: Settings, story: Story
) -> None:
    run_id = judge(settings, story, "first")
    promote_model(settings, story.store, run_id, YES)
    (entry,) = ledger.read_ledger(story.store)
    assert (entry.by, entry.approval) == ("anna", YES)
    assert entry.reason.endswith("approved by anna: looked at the flips")
    assert read_decision(story.store, run_id).approval == YES
    assert read_history(story.store)[0].by == "anna"
    before = [listed.key for listed in story.store.list_objects("")]
    promote_model(settings, story.store, run_id, YES)
    assert [listed.key for listed in story.store.list_objects("")] == before


def test_a_person_may_refuse_what_the_rules_allow(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    with pytest.raises(PromotionRefused, match="rejected by anna: the misses are all infants"):
        promote_model(settings, story.store, run_id, NO)
    assert read_pointer(story.store) == (None, None)
    (entry,) = ledger.read_ledger(story.store)
    assert (entry.kind, entry.by, entry.approval) == ("rejected", "anna", NO)
    assert show_run(story.store, run_id).decision == "rejected"
    assert read_decision(story.store, run_id).rules
    reject_candidate(settings, story.store, run_id, NO)
    assert len(ledger.read_ledger(story.store)) == 1
    with pytest.raises(PromotionRefused, match="the decision is rejected"):
        promote_model(settings, story.store, run_id, YES)


def test_only_an_approved_candidate_can_be_refused_by_a_person(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first", "weak")
    with pytest.raises(PromotionRefused, match="no approved candidate"):
        reject_candidate(settings, story.store, run_id, NO)


def test_without_the_approval_that_the_settings_ask_for_nothing_moves(
    settings: Settings, story: Story
) -> None:
    careful = settings.model_copy(update={"require_approval": True})
    run_id = judge(settings, story, "first")
    with pytest.raises(PromotionRefused, match="nobody has"):
        promote_model(careful, story.store, run_id)
    assert read_pointer(story.store) == (None, None)
    promote_model(careful, story.store, run_id, YES)
    champion = read_champion(story.store)
    assert champion is not None
    assert champion.run_id == run_id


def test_a_champion_that_moved_during_the_wait_is_compared_with_and_the_approval_kept(
    settings: Settings, story: Story
) -> None:
    slow = judge(settings, story, "slow")
    fast = promote_model(settings, story.store, judge(settings, story, "fast", "better"))
    promote_model(settings, story.store, slow, YES)
    decision = read_decision(story.store, slow)
    assert (decision.champion, decision.approval) == (fast.version, YES)
    assert ledger.read_ledger(story.store)[-1].approval == YES


def test_a_rollback_says_who_asked_and_who_approved_and_is_done_once(
    settings: Settings, story: Story
) -> None:
    versions = [
        promote_model(settings, story.store, judge(settings, story, run_id, model)).version
        for run_id, model in (("first", "good"), ("second", "better"))
    ]
    request = ChangeRequest(reason="false alarms", by="ben", approval=YES, attempt="manual-1")
    with pytest.raises(PromotionRefused, match="rejected by anna"):
        rollback(settings, story.store, versions[0], ChangeRequest(reason="x", by="ben", approval=NO))
    moved = rollback(settings, story.store, versions[0], request)
    assert rollback(settings, story.store, versions[0], request) == moved
    entry = ledger.read_ledger(story.store)[-1]
    assert (entry.seq, entry.by, entry.approval) == (moved.seq, "ben", YES)


def test_entries_with_fields_of_another_release_keep_the_chain_whole(
    settings: Settings, story: Story
) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    (entry,) = ledger.read_ledger(story.store)
    written = entry.model_dump()
    del written["approval"]  # as an older release wrote it
    older = ledger.LedgerEntry.model_validate(written)
    newer = ledger.LedgerEntry.model_validate(written | {"committee": "monthly"})
    assert "approval" not in older.model_dump(exclude_unset=True)
    assert newer.model_dump(exclude_unset=True)["committee"] == "monthly"
    assert len({ledger.digest(one) for one in (entry, older, newer)}) == 3
