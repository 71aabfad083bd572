"""The pipeline: every stage of a run, in order. Whoever runs a stage comes through here.

    discover ─► validate [batch] ─► assemble ─► balance        what may be trained on
             ─► extract [shard] ─► score_unseen               what today's models say, before training
             ─► train ─► tune ─► export                       from features to a candidate
             ─► evaluate ─► decide ─► report                   is it good enough, and better?
             ─► promote ─► close                               the pointer, and the end of the run

A stage reads what earlier stages wrote into the bucket, writes new objects, and may be run again, on
another machine, with the same result. What it returns is small, and tells the sha256 of what later stages
read: ``run.after(result)`` is a run that takes nothing else for it. The Airflow DAG, `pneumo retrain`, the
comparison of recipes and the benchmarks are doors to it; none of them decides anything.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pneumo_tasks.errors import BadData
from pneumo_tasks.run import Run
from pneumo_tasks.storage import layout

if TYPE_CHECKING:  # a task that decides needs nothing of what trains
    from pneumo_tasks.evaluation.evidence import Evaluated
    from pneumo_tasks.evaluation.unseen.new_films import ScoredUnseen
    from pneumo_tasks.intake.records.verdicts import BatchVerdict
    from pneumo_tasks.monitoring.evidence import WatchEvidence
    from pneumo_tasks.promotion.approval import Approval
    from pneumo_tasks.promotion.judgement import Decided
    from pneumo_tasks.promotion.moving.settling import Settled
    from pneumo_tasks.promotion.report.document import Reported
    from pneumo_tasks.stage_results import Assembled, Balanced, Closed, Discovered
    from pneumo_tasks.storage.told_objects import ToldStore
    from pneumo_tasks.training.export.exporting import Exported
    from pneumo_tasks.training.features.extract import Extracted
    from pneumo_tasks.training.fitting.fine_tuning import FineTuned
    from pneumo_tasks.training.fitting.head import TrainedHead


def discover(run: Run, params: Mapping[str, Any], by: str) -> "Discovered":
    """Begin the run, and find the batches without a verdict.

    BadConfiguration for what no run can do; UnsafeStore, before anything is computed, where the store ignores
    conditional writes.
    """
    from pneumo_tasks.dataset.shards import MOST_MAPPED
    from pneumo_tasks.intake.records.batch_list import discover_batches
    from pneumo_tasks.stage_results import Discovered
    from pneumo_tasks.training.recipes import check_request

    check_request(run.settings, params)
    run.store.check_conditional_writes()
    facts = {"params": dict(params), "by": by, "approval_hours": run.settings.approval_hours}
    run.begin(facts)
    with run.stage("discover_batches"):
        waiting = discover_batches(run.store, run.settings.stale_hours)
    return Discovered(batches=waiting[:MOST_MAPPED], later=len(waiting[MOST_MAPPED:]))


def validate(run: Run, batch_id: str) -> "BatchVerdict":
    """Judge one batch. A rejected one is a result, and stops no other."""
    from pneumo_tasks.intake.validation import validate_batch

    with run.stage("validate_batch", batch_id):
        return validate_batch(run.settings, run.store, batch_id)


def assemble(run: Run) -> "Assembled":
    """Make the snapshot of everything accepted; without anything new the run ends here, unless forced.

    BadData where there is nothing new because batches have no verdict: their validation failed.
    """
    from pneumo_tasks.dataset.snapshots import assemble_dataset
    from pneumo_tasks.dataset.summary import snapshot_summary
    from pneumo_tasks.promotion.deciding.decision import record_nothing_new
    from pneumo_tasks.stage_results import Assembled

    with run.stage("assemble_dataset"):
        store = run.open_store()
        try:
            snapshot = assemble_dataset(run.settings, store)
        except BadData as error:
            _name_what_waits(run, f"{error.what}, and ")
            raise
        if snapshot is not None and (snapshot.new or run.settings.force):
            summary = layout.dataset(snapshot.snapshot_id, "summary.json")
            snapshot_summary(store, snapshot.snapshot_id)  # found made already, it was not written now
            told = {"digests": store.noted(summary)}
            return Assembled(snapshot=snapshot.model_copy(update=told))
        _name_what_waits(run)
        reason = "no image was accepted yet" if snapshot is None else "no new image was accepted"
        if run.recorded:
            record_nothing_new(run.store, run.run_id, snapshot.snapshot_id if snapshot else None, reason)
        return Assembled(snapshot=None, nothing_new=reason)


def _name_what_waits(run: Run, before: str = "") -> None:
    """BadData where batches have no verdict: whatever else is amiss, that comes first."""
    from pneumo_tasks.intake.records.batch_list import discover_batches

    if waiting := discover_batches(run.store, run.settings.stale_hours):
        raise BadData(
            f"{before}no verdict on {', '.join(waiting)}", do="See why validate_batch failed, and clear it."
        )


def balance(run: Run, snapshot_id: str) -> "Balanced":
    """Count the classes, and derive the weights that the settings ask for."""
    from pneumo_tasks.dataset.balance import compute_class_balance
    from pneumo_tasks.stage_results import Balanced

    store = run.open_store()
    with run.stage("compute_class_balance"):
        found = compute_class_balance(run.settings, store, run.run_id, snapshot_id)
    told = store.noted(layout.run(run.run_id, "class_balance.json"))
    return Balanced(**found.model_dump(), digests=told)


def extract(run: Run, snapshot_id: str, shard_id: str) -> "Extracted":
    """Put the features of one shard into the bucket, unless they are there."""
    from pneumo_tasks.training.features.extract import extract_features

    store = run.open_store()
    with run.stage("extract_features", shard_id):
        found = extract_features(run.settings, store, snapshot_id, shard_id)
    told = {
        key: digest for key, digest in store.noted(layout.FEATURES).items() if key.endswith("/index.json")
    }
    return found.model_copy(update={"digests": told})


def score_unseen(run: Run, snapshot_id: str) -> "ScoredUnseen":
    """Ask the champion and the newest candidates about films whose patients no training has seen."""
    from pneumo_tasks.evaluation.unseen.new_films import score_unseen
    from pneumo_tasks.promotion.registry.contenders import find_contenders

    with run.stage("score_unseen"):
        contenders = find_contenders(run.store, run.settings.unseen_models)
        return score_unseen(run.settings, run.open_store(), snapshot_id, contenders)


def train(run: Run, snapshot_id: str) -> "TrainedHead":
    """Write down whom training is about to see, then train the recipe's head on the features."""
    from pneumo_tasks.dataset.seen import record_seen
    from pneumo_tasks.training.fitting.head import train_head

    store = run.open_store()
    with run.stage("train_head"):
        record_seen(store, snapshot_id, run.settings.patient_site)
        found = train_head(run.settings, store, run.run_id, snapshot_id)
    return found.model_copy(update={"digests": _trained(run, store)})


def tune(run: Run, snapshot_id: str) -> "FineTuned":
    """Fine-tune from the head, where the recipe says so."""
    from pneumo_tasks.training.fitting.fine_tuning import fine_tune

    store = run.open_store()
    with run.stage("fine_tune_block5"):
        found = fine_tune(run.settings, store, run.run_id, snapshot_id)
    return found.model_copy(update={"digests": _trained(run, store)})


def export(run: Run, snapshot_id: str) -> "Exported":
    """Make one file of what was trained, and check it: from here on there is a candidate."""
    from pneumo_tasks.training.export.exporting import export_candidate

    store = run.open_store()
    with run.stage("export_candidate"):
        found = export_candidate(run.settings, store, run.run_id, snapshot_id)
    written = [layout.run(run.run_id, name) for name in ("candidate.json", "held_out_scores.parquet")]
    return found.model_copy(update={"digests": store.noted(*written)})


def evaluate(run: Run, snapshot_id: str) -> "Evaluated":
    """Measure the candidate and the champion on the same locked test images."""
    from pneumo_tasks.evaluation.evaluation import evaluate_candidate
    from pneumo_tasks.promotion.registry.champion import champion_ref
    from pneumo_tasks.promotion.registry.remembering import check_remembered

    with run.stage("evaluate_candidate"):
        check_remembered(run.settings, run.store)
        champion = champion_ref(run.store, run.settings)
        return evaluate_candidate(run.settings, run.open_store(), run.run_id, snapshot_id, champion)


def decide(run: Run, snapshot_id: str, evaluated: "Evaluated | None" = None) -> "Decided":
    """Let the gate judge the candidate, by the evaluation that was told; a refusal is a result."""
    from pneumo_tasks.promotion.deciding.decision import decide_promotion

    with run.stage("decide_promotion"):
        measured = evaluated.document if evaluated else None
        return decide_promotion(run.settings, run.store, run.run_id, snapshot_id, measured=measured)


def ask(run: Run, decided: "Decided", typed: bool = False) -> bool:
    """Whether a person has to say yes before ``promote``, whose ``approval`` the answer is.

    Then the run is waiting from now on: it says so in the list, and for how long an answer counts.
    ``typed``: nobody is there to be asked, and the candidate waits for the command line.
    """
    from pneumo_tasks.promotion.runs.waiting import ask

    if decided.decision != "approved" or not run.settings.require_approval or run.settings.dry_run:
        return False
    ask(run.store, run.run_id, run.settings.approval_hours, typed)
    return True


def report(run: Run) -> "Reported":
    """Write the page that a person decides by, and reads afterwards."""
    from pneumo_tasks.promotion.report.report import write_report

    with run.stage("write_report"):
        return write_report(run.settings, run.store, run.run_id)


def promote(run: Run, decided: "Decided", approval: "Approval | None" = None) -> "Settled":
    """Make the approved candidate the champion, or say why not; the ledger keeps either."""
    from pneumo_tasks.promotion.moving.settling import Settled, settle

    kept = Settled(version=decided.version, sha256=decided.sha256, seq=None, reason=decided.reason)
    if decided.decision != "approved":
        return kept
    if run.settings.dry_run:
        return kept.model_copy(update={"reason": "a dry run. The report says what would have been"})
    with run.stage("promote_model"):
        return settle(run.settings, run.store, run.run_id, approval, decided.document)


def answer(run: Run, approval: "Approval") -> "Settled":
    """A person's word, from outside the run, on a candidate that waits; then as ``promote`` does."""
    from pneumo_tasks.promotion.moving.settling import settle

    with run.stage("promote_model"):
        return settle(run.settings, run.store, run.run_id, approval)


def end(run: Run, why: str) -> None:
    """Airflow ended the run, perhaps without its last stage; ``why``: by whom or what, where known."""
    from pneumo_tasks.promotion.runs.index import close_ended

    close_ended(run.store, run.run_id, why)


def score_later(run: Run) -> dict[str, int]:
    """Ask every registered version about the batches that it never learned from; films by version."""
    from pneumo_tasks.evaluation.unseen.later_films import score_later
    from pneumo_tasks.promotion.registry.contenders import registered_contenders

    return score_later(run.settings, run.store, registered_contenders(run.store))


def watch(run: Run) -> "WatchEvidence | None":
    """Watch the champion, and measure the matrix again where something changed; None without a champion.

    No part of a run, and recorded in none: it trains, promotes and rolls back nothing.
    """
    from pneumo_tasks.monitoring.evidence import gather_evidence
    from pneumo_tasks.monitoring.matrix import measure_matrix

    evidence = gather_evidence(run.settings, run.store)
    if evidence is not None:
        measure_matrix(run.settings, run.store)
    return evidence


def close(run: Run) -> "Closed":
    """Enter the run into the list of runs as it ended; one that settled nothing was stopped from outside."""
    from pneumo_tasks.promotion.report.note import run_note
    from pneumo_tasks.promotion.runs.index import close_ended, enter_missing
    from pneumo_tasks.stage_results import Closed

    ended = close_ended(run.store, run.run_id)
    enter_missing(run.store)
    return Closed(state=ended.state, decision=ended.decision, reason=ended.reason, note=run_note(ended))


def _trained(run: Run, store: "ToldStore") -> dict[str, str]:
    """The digests of the weights and histories of the run, whichever stage wrote them."""
    found = store.noted(layout.run(run.run_id, "head/"), layout.run(run.run_id, "fine_tune/"))
    return {key: digest for key, digest in found.items() if "/checkpoints/" not in key}
