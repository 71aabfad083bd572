"""Who may say yes: each wrong answer is refused with the reason, nothing is promoted, a right one works."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from pneumo_tasks import journal
from pneumo_tasks.cli import app
from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.evaluation.revisions import revise
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving import rollback
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.settling import settle
from pneumo_tasks.promotion.protocol.activation import activate
from pneumo_tasks.promotion.protocol.document import ApprovalRules, Protocol
from pneumo_tasks.promotion.registry import change_request
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.runs.index import close_ended, enter_missing
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.promotion.runs.waiting import ask
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.evaluation.story import Story
from tests.promotion.judging import judge

WHY = "looked at every miss and every flip"


def yes(by: str, reason: str = WHY, later: float = 0, **facts: Any) -> Approval:
    at = (datetime.now(UTC) + timedelta(hours=later)).isoformat(timespec="seconds")
    return Approval(verdict="promote", by=by, reason=reason, at=at, **facts)


@pytest.fixture
def waiting(settings: Settings, story: Story) -> str:
    """A candidate that grace's run made, under a protocol that names ada, grace and a role."""
    rules = ApprovalRules(approvers=("ada", "grace", "role:admin"), min_reason_letters=10)
    protocol = Protocol.of(settings).model_copy(update={"approval": rules})
    activate(settings, story.store, protocol, "ada", "agreed in the meeting of May")
    journal.record_start(story.store, "weekly", {"by": "grace"})
    run_id = judge(settings, story, "weekly")
    ask(story.store, run_id, settings.approval_hours)
    return run_id


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "a person has to approve"),
        (yes("grace"), "whoever starts a run does not approve it"),
        (yes("mallory"), "mallory may not approve"),
        (yes("mallory", roles=("viewer",)), "mallory may not approve"),
        (yes("ada", ""), "the reason is too short"),
        (yes("ada", "  ok  "), "2 letters, limit 10"),
        (yes("ada", later=49), "the answer came too late"),
    ],
    ids=["nobody", "the starter", "a stranger", "another role", "no reason", "too short", "too late"],
)
def test_an_answer_that_the_protocol_does_not_take_promotes_nothing(
    settings: Settings, story: Story, waiting: str, answer: Approval | None, why: str
) -> None:
    for door in (settle, promote_model):
        with pytest.raises(PromotionRefused, match=why):
            door(settings, story.store, waiting, answer)
    assert read_pointer(story.store) == (None, None)
    assert [entry.kind for entry in ledger.read_ledger(story.store)] == ["protocol"]
    assert show_run(story.store, waiting).state == "waiting"


@pytest.mark.parametrize("by", [yes("ada"), yes("somebody", roles=("admin",))], ids=["a name", "a role"])
def test_a_named_person_promotes_what_another_started(
    settings: Settings, story: Story, waiting: str, by: Approval
) -> None:
    assert settle(settings, story.store, waiting, by).seq == 2
    assert ledger.read_ledger(story.store)[-1].approval == by.model_copy(update={"roles": ()})
    assert show_run(story.store, waiting).decision == "promoted"


def test_an_approval_written_into_the_decision_by_hand_is_checked_again(
    settings: Settings, story: Story, waiting: str
) -> None:
    forged = read_decision(story.store, waiting).model_copy(update={"approval": yes("mallory")})
    revise(story.store, waiting, "decision", forged.model_dump(mode="json"))
    with pytest.raises(PromotionRefused, match="mallory may not approve"):
        promote_model(settings, story.store, waiting)
    assert read_pointer(story.store) == (None, None)


def types(monkeypatch: pytest.MonkeyPatch, who: str, *words: str) -> Any:
    monkeypatch.setattr(change_request, "person", lambda: who)
    return CliRunner().invoke(app, list(words))


def test_the_command_line_answers_for_the_named_user_and_for_no_other(
    story: Story, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for who, why in (("grace", "does not approve it"), ("mallory", "may not approve")):
        refused = types(monkeypatch, who, "models", "approve", waiting, "--reason", WHY)
        assert refused.exit_code == 1
        assert why in str(refused.exception) + refused.output
    done = types(monkeypatch, "ada", "models", "approve", waiting, "--reason", WHY)
    assert done.exit_code == 0, done.output
    assert ledger.read_ledger(story.store)[-1].by == "ada"
    again = types(monkeypatch, "ada", "models", "approve", waiting, "--reason", WHY)
    assert again.exit_code == 0
    assert len(ledger.read_ledger(story.store)) == 2


def test_the_command_line_refuses_a_waiting_candidate(
    story: Story, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = types(monkeypatch, "ada", "models", "reject", waiting, "--reason", "all misses are infants")
    assert done.exit_code == 0, done.output
    assert show_run(story.store, waiting).decision == "rejected"
    assert read_pointer(story.store) == (None, None)


def test_a_run_waits_until_its_time_is_over_and_no_list_keeps_what_it_said_meanwhile(
    story: Story, waiting: str
) -> None:
    enter_missing(story.store)
    assert not story.store.exists(layout.run_entry(waiting))
    question = {"asked_at": "2020-01-01T00:00:00+00:00", "hours": 48.0}
    story.store.put_json(layout.run(waiting, "question.json"), question)
    over = show_run(story.store, waiting)
    assert (over.state, over.reason) == (
        "stopped", "nobody approved the candidate until 2020-01-03 00:00 UTC",
    )  # fmt: skip


def test_a_run_that_airflow_asked_about_and_that_was_stopped_waits_no_more(
    story: Story, waiting: str
) -> None:
    assert close_ended(story.store, waiting).state == "stopped"
    typed = {"asked_at": journal.now(), "hours": 48.0, "typed": True}
    journal.record_start(story.store, "typed", {"by": "grace"})
    story.store.put_json(layout.run("typed", "question.json"), typed)
    decision = read_decision(story.store, waiting).model_dump(mode="json")
    story.store.put_json(layout.run("typed", "decision.json"), decision | {"run_id": "typed"})
    assert close_ended(story.store, "typed").state == "waiting"


def test_a_rollback_and_a_reset_need_the_second_person_too(
    settings: Settings, story: Story, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = settle(settings, story.store, waiting, yes("ada")).version
    journal.record_start(story.store, "second", {"by": "the schedule"})
    second = judge(settings, story, "second", "better")
    settle(settings, story.store, second, yes("ada"))
    champion = read_pointer(story.store)
    alone = ChangeRequest(reason="false alarms", by="ada")
    for approval in (None, yes("ada"), yes("mallory"), yes("grace", "ok")):
        request = ChangeRequest(reason="false alarms", by="ada", approval=approval)
        with pytest.raises(PromotionRefused):
            rollback.rollback(settings, story.store, str(first), request)
    with pytest.raises(PromotionRefused, match="second person"):
        rollback.reset_champion(settings, story.store, alone)
    assert read_pointer(story.store) == champion
    words = ("models", "rollback", str(first), "--reason")
    assert types(monkeypatch, "ada", *words, "too many false alarms").exit_code == 4
    assert types(monkeypatch, "mallory", *words, "I agree to that").exit_code == 1
    assert read_pointer(story.store) == champion
    done = types(monkeypatch, "grace", *words, "saw the alarms myself")
    assert done.exit_code == 0, done.output
    entry = ledger.read_ledger(story.store)[-1]
    assert (entry.by, entry.reason, entry.approval and entry.approval.by) == (
        "ada", "too many false alarms", "grace",
    )  # fmt: skip


def test_the_embedded_default_takes_anybodys_yes_with_a_reason(settings: Settings, story: Story) -> None:
    run_id = judge(settings.model_copy(update={"require_approval": True}), story, "first")
    with pytest.raises(PromotionRefused, match="the reason is too short"):
        settle(settings, story.store, run_id, yes("anna", ""))
    assert settle(settings, story.store, run_id, yes("anna", "fine")).seq == 1
