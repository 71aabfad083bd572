"""The decision: every run that gets this far leaves one, with the rules it rests on."""

import logging
from typing import Any

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing, PromotionRefused, UnsafeStore
from pneumo_tasks.evaluation.evaluation import compare_again
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.record import Recorded, read_evaluation, read_recorded
from pneumo_tasks.evaluation.revisions import Revision, revise
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.gate import as_agreed, at_least, judge
from pneumo_tasks.promotion.deciding.steps import past_askings, record_asking, step_rules, still_counting
from pneumo_tasks.promotion.deciding.test_set import containment_rule, set_rules
from pneumo_tasks.promotion.deciding.unseen_rule import unseen_rules
from pneumo_tasks.promotion.judgement import Decided, Decision, Judged, decide, read_decision, read_judged
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import append_sealed
from pneumo_tasks.promotion.ledger.signatures import sign_stored
from pneumo_tasks.promotion.protocol.budget import ErrorBudget
from pneumo_tasks.promotion.protocol.governing import Governed, govern_run
from pneumo_tasks.promotion.registry.champion import champion_ref
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.promotion.spending import Spending
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


def decide_promotion(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    snapshot_id: str,
    approval: Approval | None = None,
    measured: Revision | None = None,
) -> Decided:
    """Judge the evaluation of ``run_id`` and write decision.json; a refusal also enters the ledger.

    ``measured`` is the evaluation as the task that made it passed it on.
    A refused candidate is a result, not an error. Where the
    champion is no longer the one of the evaluation, the candidate is compared with the new one.
    ``approval`` is kept where a person had answered before this judgement. A dry run leaves
    decision.json alone: no ledger entry, and the snapshot counts as undecided. BadConfiguration where
    ``settings`` loosen the protocol: whoever called may have been told otherwise.
    """
    governed = govern_run(settings, store, run_id)
    settings = governed.settings
    recorded, champion = read_recorded(store, run_id, measured), champion_ref(store, settings)
    evaluation = recorded.evaluation
    if settled := _settled_before(store, evaluation):
        return _referred(settled)
    if champion is not None and (champion.version, champion.sha256) == (
        evaluation.version,
        evaluation.sha256,
    ):
        return _referred(_record_identical(store, recorded, governed))
    compared = evaluation.champion.version if evaluation.champion else None
    if (champion.version if champion else None) != compared:
        recorded = compare_again(settings, store, evaluation, champion)
        evaluation = recorded.evaluation
    rules, spending = _judged(store, governed, evaluation)
    said = {"approval": approval, "spending": spending, "evaluation": recorded.document, **_under(governed)}
    judged = _kept(settings, store, decide(evaluation, rules).model_copy(update=said))
    decision = judged.decision
    if settings.dry_run:
        return _referred(judged)
    if rules[-1].verdict == "pass":  # a store that failed its own test has judged no candidate
        if decision.decision == "rejected":
            _enter_refusal(settings, store, judged, by="the gate")
        _mark_decided(store, snapshot_id, decision)
    log.info("%s: %s", decision.decision, decision.reason)
    return _referred(judged)


def _judged(store: ObjectStore, governed: Governed, evaluation: Evaluation) -> tuple[list[Rule], Spending]:
    """Every rule of the gate, the store's own last, and what is left of the error budget after them."""
    settings, budget = governed.settings, governed.active.protocol.budget.spending()
    asked = still_counting(budget, past_askings(store, evaluation.run_id), evaluation.test_patients)
    steps, spending = step_rules(settings, budget, evaluation, asked)
    if spending.sideways:
        record_asking(store, evaluation, spending.sideways)
    agreed = [*judge(settings, evaluation), as_agreed(settings, evaluation), *steps]
    agreed += set_rules(governed.active.protocol.test_set, store, evaluation)
    agreed += unseen_rules(settings, store, evaluation)
    return [*agreed, *containment_rule(store, evaluation), _store_rule(store)], spending


def _under(governed: Governed) -> dict[str, Any]:
    active = governed.active
    return {"dry_run": governed.settings.dry_run, "protocol": active.digest, "protocol_seq": active.seq}


def _settled_before(store: ObjectStore, evaluation: Evaluation) -> Judged | None:
    """The decision by which this very candidate became the champion: it is never made again.

    Judged anew it would be compared with itself, and the approval that it had would be gone.
    """
    try:
        judged = read_judged(store, evaluation.run_id)
    except ObjectMissing:
        return None
    decision = judged.decision
    same = (decision.version, decision.sha256) == (evaluation.version, evaluation.sha256)
    if not same or decision.decision != "approved" or decision.dry_run:
        return None
    return judged if promoted_before(store, decision) else None


def promoted_before(store: ObjectStore, decision: Decision) -> ledger.LedgerEntry | None:
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


def _record_identical(store: ObjectStore, recorded: Recorded, governed: Governed) -> Judged:
    """A candidate that is the champion already: nothing is promoted, and its ``since`` stays."""
    evaluation = recorded.evaluation
    reason = "the candidate is the champion: the same weights, data, recipe and threshold"
    decision = decide(evaluation, []).model_copy(
        update={
            "decision": "identical", "reason": reason, "evaluation": recorded.document, **_under(governed)
        }
    )  # fmt: skip
    judged = _kept(governed.settings, store, decision)
    if not decision.dry_run:
        _mark_decided(store, evaluation.snapshot_id, judged.decision)
    return judged


def _kept(settings: Settings, store: ObjectStore, decision: Decision) -> Judged:
    """Write the decision, unless the last one says the same at another time: then that one stays."""
    try:
        former = read_decision(store, decision.run_id)
    except ObjectMissing:
        former = None
    if former is not None and former.model_copy(update={"decided_at": decision.decided_at}) == decision:
        decision = former
    return _write(settings, store, decision)


def _referred(judged: Judged) -> Decided:
    return Decided.of(judged.decision, judged.document)


def reject_candidate(settings: Settings, store: ObjectStore, run_id: str, approval: Approval) -> Decided:
    """Record that a person refused an approved candidate: in decision.json, and in the ledger.

    The champion stays. A repetition changes nothing.
    PromotionRefused where the candidate is not waiting for an answer.
    """
    judged = read_judged(store, run_id)
    if judged.decision.decision == "approved":
        refusal = {"decision": "rejected", "reason": approval.sentence, "approval": approval}
        judged = _write(settings, store, judged.decision.model_copy(update=refusal))
    decision = judged.decision
    if decision.decision != "rejected" or decision.approval is None:
        raise PromotionRefused(
            "there is no approved candidate to refuse", where=layout.run(run_id), found=decision.decision
        )
    _enter_refusal(settings, store, judged, by=decision.approval.by)
    log.info("rejected: %s", decision.reason)
    return _referred(judged)


def record_approval(settings: Settings, store: ObjectStore, decision: Decision, approval: Approval) -> Judged:
    """Write a person's consent beside the gate's decision; returns the decision as it stands."""
    return _write(settings, store, decision.model_copy(update={"approval": approval}))


def replay(settings: Settings, store: ObjectStore, run_id: str) -> Decision:
    """What the gate would have said of a stored run with ``settings``; trains and writes nothing.

    The evidence stays as it was measured: only limits can be tried out, not another threshold.
    """
    evaluation = read_evaluation(store, run_id)
    # A replay asks for no sideways step: nothing is spent by trying.
    steps, _ = step_rules(settings.model_copy(update={"sideways": ""}), ErrorBudget(), evaluation, 0)
    judged = [*judge(settings, evaluation), *steps, *unseen_rules(settings, store, evaluation)]
    return decide(evaluation, [*judged, *containment_rule(store, evaluation)])


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
    revise(store, decision.run_id, "decision", decision.model_dump(mode="json"))
    return decision


def _write(settings: Settings, store: ObjectStore, decision: Decision) -> Judged:
    """Write the decision as a revision, and sign that where a key is set."""
    written = revise(store, decision.run_id, "decision", decision.model_dump(mode="json"))
    sign_stored(settings, store, written.key)
    return Judged(decision, written)


def _enter_refusal(settings: Settings, store: ObjectStore, judged: Judged, by: str) -> None:
    decision = judged.decision
    append_sealed(
        settings,
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
            decision=judged.document,
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
