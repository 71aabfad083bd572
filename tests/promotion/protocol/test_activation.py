import pytest

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.protocol.activation import (
    Active,
    activate,
    active_protocol,
    find_protocol,
    govern,
    history,
    protocol_before,
)
from pneumo_tasks.promotion.protocol.approvers import check_approval
from pneumo_tasks.promotion.protocol.document import ApprovalRules, Protocol, parse_protocol
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

WHY = "agreed in the meeting of May"


def protocol(recall: float = 0.95, approvers: str = "") -> Protocol:
    limits, approval = f"{{min_recall: {recall}}}", f"{{approvers: [{approvers}]}}"
    text = f"name: ours\nintended_use: research\nlimits: {limits}\napproval: {approval}"
    return parse_protocol(text.encode(), "test")


def test_the_environment_is_the_protocol_until_one_is_activated(
    settings: Settings, store: ObjectStore
) -> None:
    found = active_protocol(settings, store, settings)
    assert found.embedded
    assert found.protocol.limits["min_recall"] == settings.min_recall


def test_the_activation_in_the_ledger_makes_a_protocol_hold(settings: Settings, store: ObjectStore) -> None:
    first = activate(settings, store, protocol(0.95), "ada", WHY)
    second = activate(settings, store, protocol(0.96), "ada", WHY)
    again = activate(settings, store, protocol(0.95), "ada", WHY)
    assert (first.seq, second.seq, again.seq) == (1, 2, 3)
    assert active_protocol(settings, store, settings).protocol == protocol(0.95)
    assert protocol_before(settings, store, 3) == Active(protocol(0.96), 2)
    assert protocol_before(settings, store, 1) is None
    assert [row["digest"] for row in history(store)] == [
        p.digest for p in (protocol(0.95), protocol(0.96), protocol(0.95))
    ]
    assert find_protocol(settings, store, second.digest[:10]) == Active(protocol(0.96), 2)


def test_the_same_activation_twice_is_one(settings: Settings, store: ObjectStore) -> None:
    assert activate(settings, store, protocol(), "ada", WHY).seq == 1
    assert activate(settings, store, protocol(), "ada", WHY).seq == 1
    assert len(ledger.read_ledger(store)) == 1


@pytest.mark.parametrize("given", [{"min_recall": 0.0}, {"recall_margin": 1.0}, {"target_recall": 0.5}])
def test_a_run_may_not_loosen_what_was_activated(given: dict[str, float]) -> None:
    with pytest.raises(BadConfiguration, match="would loosen the protocol"):
        govern(Active(protocol(), 1), Settings.load({"demo": True, **given}))


def test_a_loosened_environment_is_refused_like_a_loosened_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_MIN_RECALL", "0.1")
    with pytest.raises(BadConfiguration, match=r"min_recall is 0.1, the protocol says 0.95"):
        govern(Active(protocol(), 1), Settings.load())


def test_a_run_may_tighten_and_takes_the_rest_from_the_protocol() -> None:
    found = govern(
        Active(protocol(0.96, "ada, grace"), 1), Settings.load({"demo": True, "min_precision": 0.97})
    )
    assert (found.min_recall, found.min_precision, found.require_approval) == (0.96, 0.97, True)


def test_an_approval_may_not_be_switched_off() -> None:
    with pytest.raises(BadConfiguration, match="require_approval is False"):
        govern(Active(protocol(0.95, "ada, grace"), 1), Settings.load({"require_approval": False}))


def test_a_second_named_person_has_to_agree(settings: Settings, store: ObjectStore) -> None:
    activate(settings, store, protocol(0.95, "ada, grace"), "ada", WHY)
    looser = protocol(0.90, "ada, grace")
    waiting = activate(settings, store, looser, "ada", WHY)
    assert waiting.seq is None
    with pytest.raises(PromotionRefused, match="does not approve"):
        activate(settings, store, looser, "ada", "because I say so again")
    with pytest.raises(PromotionRefused, match="names ada, grace"):
        activate(settings, store, looser, "mallory", "because I say so")
    with pytest.raises(BadConfiguration, match="too short"):
        activate(settings, store, looser, "grace", "ok")
    assert active_protocol(settings, store, settings).protocol == protocol(0.95, "ada, grace")
    assert activate(settings, store, looser, "grace", "read it and agree").seq == 2
    entry = ledger.read_ledger(store)[-1]
    assert (entry.by, entry.approval and entry.approval.by) == ("ada", "grace")


def test_a_protocol_that_was_changed_in_the_bucket_is_found(settings: Settings, store: ObjectStore) -> None:
    done = activate(settings, store, protocol(0.95), "ada", WHY)
    store.put(layout.protocol(done.digest), protocol(0.1).body)
    with pytest.raises(CorruptArtefact, match="digest differs"):
        active_protocol(settings, store, settings)


RULES = ApprovalRules(approvers=("ada", "role:Radiologist"), min_reason_letters=10)


def yes(by: str, reason: str = "looked at the misses") -> Approval:
    return Approval(verdict="promote", by=by, reason=reason)


def test_a_named_person_may_approve_what_another_started() -> None:
    check_approval(RULES, yes("ada"), "grace")
    check_approval(RULES, yes("someone").model_copy(update={"roles": ("Radiologist",)}), "grace")
    check_approval(ApprovalRules(starter_may_approve=True, min_reason_letters=0), yes("ada", ""), "ada")


@pytest.mark.parametrize(
    ("approval", "started_by", "why"),
    [
        (yes("mallory"), "grace", "may not approve"),
        (yes("ada"), "ada", "does not approve it"),
        (yes("ada"), None, "does not approve it"),
        (yes("ada", " ok "), "grace", "2 letters, limit 10"),
        (Approval(verdict="reject", by="ada", reason="no"), "grace", "rejected by ada"),
    ],
)
def test_any_other_approval_is_refused_with_the_reason(
    approval: Approval, started_by: str | None, why: str
) -> None:
    with pytest.raises(PromotionRefused, match=why):
        check_approval(RULES, approval, started_by)
