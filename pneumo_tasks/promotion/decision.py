"""The decision: every run that gets this far leaves one, with the rules it rests on."""

import logging
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing, PromotionRefused, UnsafeStore
from pneumo_tasks.evaluation.evaluation import compare_again, read_evaluation
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.intervals import Interval
from pneumo_tasks.evaluation.revisions import Revision, last_revision, revise
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.gate import Rule, at_least, judge
from pneumo_tasks.promotion.registry import ledger
from pneumo_tasks.promotion.registry.champion import champion_ref, read_pointer
from pneumo_tasks.promotion.test_set import containment_rule
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


class Figures(BaseModel):
    """What a list of runs shows of each: test figures, and the change against the champion in shares.

    ``change`` is None where there was no champion; a figure is None where it is undefined.
    """

    model_config = ConfigDict(frozen=True)

    recall: float | None
    precision: float | None
    auc: float | None
    recall_interval: Interval | None
    change: dict[str, float | None] | None

    @classmethod
    def of(cls, evaluation: Evaluation) -> Self:
        test, versus = evaluation.test, evaluation.champion
        differences = versus.differences if versus else {}
        return cls(
            recall=test.recall,
            precision=test.precision,
            auc=test.auc,
            recall_interval=evaluation.intervals.get("recall"),
            change={name: found.value if found else None for name, found in differences.items()} or None,
        )


class Decision(BaseModel):
    """``approved`` becomes a promotion only once promotion.json is written.

    ``approval`` is a person's answer where one was asked; the rules stand beside it, not below it.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    decision: Literal["approved", "rejected", "identical", "nothing-new"]
    reason: str
    rules: list[Rule]
    snapshot_id: str | None
    version: str | None
    sha256: str | None = None
    champion: str | None = None
    decided_at: str
    approval: Approval | None = None
    figures: Figures | None = None
    dry_run: bool = False


def decide_promotion(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    snapshot_id: str,
    approval: Approval | None = None,
) -> dict[str, Any]:
    """Judge the evaluation of ``run_id`` and write decision.json; a refusal also enters the ledger.

    Returns {decision, reason, version}. A refused candidate is a result, not an error. Where the
    champion is no longer the one of the evaluation, the candidate is compared with the new one.
    ``approval`` is kept where a person had answered before this judgement. A dry run leaves
    decision.json alone: no ledger entry, and the snapshot counts as undecided.
    """
    evaluation, champion = read_evaluation(store, run_id), champion_ref(store)
    if settled := _settled_before(store, evaluation):
        return _referred(store, settled)
    if champion is not None and (champion.version, champion.sha256) == (
        evaluation.version,
        evaluation.sha256,
    ):
        return _referred(store, _record_identical(store, evaluation, settings.dry_run))
    measured = evaluation.champion.version if evaluation.champion else None
    if (champion.version if champion else None) != measured:
        evaluation = compare_again(settings, store, evaluation, champion)
    rules = [*judge(settings, evaluation), *containment_rule(store, evaluation), _store_rule(store)]
    decision = decide(evaluation, rules).model_copy(
        update={"approval": approval, "dry_run": settings.dry_run}
    )
    decision = _kept(store, decision)
    if settings.dry_run:
        return _referred(store, decision)
    if rules[-1].verdict == "pass":  # a store that failed its own test has judged no candidate
        if decision.decision == "rejected":
            _enter_refusal(store, decision, by="the gate")
        _mark_decided(store, snapshot_id, decision)
    log.info("%s: %s", decision.decision, decision.reason)
    return _referred(store, decision)


def _settled_before(store: ObjectStore, evaluation: Evaluation) -> Decision | None:
    """The decision by which this very candidate became the champion: it is never made again.

    Judged anew it would be compared with itself, and the approval that it had would be gone.
    """
    try:
        decision = read_decision(store, evaluation.run_id)
    except ObjectMissing:
        return None
    same = (decision.version, decision.sha256) == (evaluation.version, evaluation.sha256)
    if not same or decision.decision != "approved" or decision.dry_run:
        return None
    return decision if promoted_before(store, decision) else None


def promoted_before(store: ObjectStore, decision: Decision) -> ledger.Entry | None:
    """The live entry by which the candidate of ``decision`` became the champion, replaced since or not.

    A candidate is a run, a version and a digest: another candidate of the same run is another one.
    """
    pointer, _ = read_pointer(store)
    if pointer is None:
        return None
    live = ledger.effective(ledger.read_ledger(store), pointer.seq)
    wanted = ("promoted", decision.run_id, decision.version, decision.sha256)
    found = [entry for entry in live if (entry.kind, entry.run_id, entry.version, entry.sha256) == wanted]
    return found[-1] if found else None


def _record_identical(store: ObjectStore, evaluation: Evaluation, dry_run: bool) -> Decision:
    """A candidate that is the champion already: nothing is promoted, and its ``since`` stays."""
    reason = "the candidate is the champion: the same weights, data, recipe and threshold"
    decision = decide(evaluation, []).model_copy(
        update={"decision": "identical", "reason": reason, "dry_run": dry_run}
    )
    decision = _kept(store, decision)
    if not dry_run:
        _mark_decided(store, evaluation.snapshot_id, decision)
    return decision


def _kept(store: ObjectStore, decision: Decision) -> Decision:
    """Write the decision, unless the last one says the same at another time: then that one stays."""
    try:
        former = read_decision(store, decision.run_id)
    except ObjectMissing:
        former = None
    if former is not None and former.model_copy(update={"decided_at": decision.decided_at}) == decision:
        decision = former
    _write(store, decision)
    return decision


def _referred(store: ObjectStore, decision: Decision) -> dict[str, Any]:
    """What travels on: the outcome, the candidate, and which document says so."""
    written = last_revision(store, decision.run_id, "decision")
    facts = decision.model_dump(include={"decision", "reason", "version", "sha256"})
    return {**facts, "document": written and written.model_dump()}


def decide(evaluation: Evaluation, rules: Sequence[Rule]) -> Decision:
    """Approved if every rule passes; pure but for the time."""
    failed = [rule for rule in rules if rule.verdict == "fail"]
    return Decision(
        run_id=evaluation.run_id,
        decision="rejected" if failed else "approved",
        reason="; ".join(map(_said, failed)) or f"all {len(rules)} rules passed",
        rules=list(rules),
        snapshot_id=evaluation.snapshot_id,
        version=evaluation.version,
        sha256=evaluation.sha256,
        champion=evaluation.champion and evaluation.champion.version,
        decided_at=journal.now(),
        figures=Figures.of(evaluation),
    )


def reject_candidate(store: ObjectStore, run_id: str, approval: Approval) -> dict[str, Any]:
    """Record that a person refused an approved candidate: in decision.json, and in the ledger.

    Returns {decision, reason, version}; the champion stays. A repetition changes nothing.
    PromotionRefused where the candidate is not waiting for an answer.
    """
    decision = read_decision(store, run_id)
    if decision.decision == "approved":
        refusal = {"decision": "rejected", "reason": approval.sentence, "approval": approval}
        decision = decision.model_copy(update=refusal)
        _write(store, decision)
    if decision.decision == "rejected" and decision.approval is not None:
        _enter_refusal(store, decision, by=decision.approval.by)
    elif decision.approval is None or decision.approval.verdict != "reject":
        raise PromotionRefused(
            "there is no approved candidate to refuse", where=layout.run(run_id), found=decision.decision
        )
    log.info("rejected: %s", decision.reason)
    return _referred(store, decision)


def record_approval(store: ObjectStore, decision: Decision, approval: Approval) -> Decision:
    """Write a person's consent beside the gate's decision; returns the decision as it stands."""
    decision = decision.model_copy(update={"approval": approval})
    _write(store, decision)
    return decision


def replay(settings: Settings, store: ObjectStore, run_id: str) -> Decision:
    """What the gate would have said of a stored run with ``settings``; trains and writes nothing.

    The evidence stays as it was measured: only limits can be tried out, not another threshold.
    """
    evaluation = read_evaluation(store, run_id)
    return decide(evaluation, [*judge(settings, evaluation), *containment_rule(store, evaluation)])


def record_nothing_new(store: ObjectStore, run_id: str, snapshot_id: str | None, reason: str) -> Decision:
    """The decision of a run that stopped early because there was nothing to train on."""
    decision = Decision(
        run_id=run_id,
        decision="nothing-new",
        reason=reason,
        rules=[],
        snapshot_id=snapshot_id,
        version=None,
        decided_at=journal.now(),
    )
    _write(store, decision)
    return decision


def read_decision(store: ObjectStore, run_id: str) -> Decision:
    return Decision.model_validate(store.read_json(layout.run(run_id, "decision.json")))


def _write(store: ObjectStore, decision: Decision) -> Revision:
    return revise(store, decision.run_id, "decision", decision.model_dump(mode="json"))


def _enter_refusal(store: ObjectStore, decision: Decision, by: str) -> None:
    ledger.append(
        store,
        ledger.NewEntry(
            kind="rejected",
            version=decision.version,
            sha256=decision.sha256,
            run_id=decision.run_id,
            attempt=decision.run_id,
            by=by,
            reason=decision.reason,
            approval=decision.approval,
            decision=last_revision(store, decision.run_id, "decision"),
        ),
    )


def _mark_decided(store: ObjectStore, snapshot_id: str, decision: Decision) -> None:
    """The snapshot has been judged: without new films, the next run has nothing to train on."""
    store.put_json(
        layout.dataset_decision(snapshot_id, decision.run_id),
        decision.model_dump(include={"decision", "run_id", "decided_at"}),
    )


def _store_rule(store: ObjectStore) -> Rule:
    why = "the store refuses a conditional write whose condition does not hold"
    try:
        store.check_conditional_writes()
    except UnsafeStore as error:
        return at_least("store honours conditions", 0, 1, str(error))
    return at_least("store honours conditions", 1, 1, why)


def _said(rule: Rule) -> str:
    if rule.value is None or rule.margin is None:
        return f"{rule.name} has {rule.why}"
    if (rule.value, rule.limit) == (0, 1):
        return f"{rule.name}: no, {rule.why}"
    side = "below" if rule.value < rule.limit else "above"
    return f"{rule.name} {rule.value:.4g} is {abs(rule.margin):.2g} {side} its limit {rule.limit:g}"
