"""Runs as the command line and the UI show them."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.dataset.summary import SnapshotSummary, snapshot_summary
from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.judgement import Decision, Figures, read_decision
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.promotion.runs.state import Outcome, RunFacts, RunState
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore


class DataCounts(BaseModel):
    """The data a run used, in the numbers that a line has room for."""

    model_config = ConfigDict(frozen=True)

    batches: int
    images: int
    quarantined: int

    @classmethod
    def of(cls, summary: SnapshotSummary) -> Self:
        used = sum(sum(labels.values()) for labels in summary.counts.values())
        return cls(batches=len(summary.batches), images=used, quarantined=summary.quarantined)


class RunSummary(BaseModel):
    """``decision`` is None while the run goes on; ``promoted`` only once the pointer has moved.

    A ``dry-run`` has rules and figures, and ``reason`` says what the gate would have decided.
    ``figures`` and ``data`` are None where the run did not come so far, ``started_by`` where
    nobody is known to have started it. ``approved``: the gate said yes, the pointer has not moved.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    state: RunState
    decision: Outcome | None
    reason: str
    rules: list[Rule]
    stages: list[dict[str, Any]]
    snapshot_id: str | None
    version: str | None
    started: str | None
    decided_at: str | None
    started_by: str | None = None
    champion: str | None = None
    figures: Figures | None = None
    data: DataCounts | None = None
    approval: Approval | None = None
    approved: bool = False

    @property
    def moment(self) -> str:
        """When it started, or was decided where no start is on record; for sorting and for the chart."""
        return self.started or self.decided_at or ""


def show_run(store: ObjectStore, run_id: str) -> RunSummary:
    """One run; ObjectMissing where the bucket knows nothing of it, CorruptArtefact where it is broken."""
    with understood(layout.run(run_id)):
        return _summary(store, run_id)


def _summary(store: ObjectStore, run_id: str) -> RunSummary:
    facts = read_facts(store, run_id)
    decision, state = facts.decision, facts.state()
    return RunSummary(
        run_id=facts.started.get("run_id") or (decision.run_id if decision else run_id),
        state=state.state,
        decision=state.outcome,
        reason=state.reason or _reason(decision),
        rules=decision.rules if decision else [],
        stages=journal.stages(store, run_id, facts.listed),
        snapshot_id=decision.snapshot_id if decision else None,
        version=decision.version if decision else None,
        started=facts.started.get("started"),
        decided_at=decision.decided_at if decision else None,
        started_by=facts.started.get("by"),
        champion=decision.champion if decision else None,
        figures=decision.figures if decision else None,
        data=_data(store, decision),
        approval=decision.approval if decision else None,
        approved=facts.approved and state.outcome != "promoted",
    )


def read_facts(store: ObjectStore, run_id: str) -> RunFacts:
    """What the bucket holds of a run: one listing, and one read each document that is there."""
    listed = list(store.list_objects(layout.run(run_id)))
    documents = {found.key.removeprefix(layout.run(run_id)) for found in listed}
    failures = [name for name in documents if name.startswith("failures/") or name == "failure.json"]
    known = {"run.json", "decision.json"} & documents
    if not known and not failures and not any(name.startswith(("stages/", "begun/")) for name in documents):
        raise ObjectMissing("no such run", where=layout.run(run_id), do="See `pneumo runs list`.")

    def document(name: str) -> Any:
        return optional(store, layout.run(run_id, name)) if name in documents else None

    return RunFacts(
        listed=listed,
        started=document("run.json") or {},
        decision=read_decision(store, run_id) if "decision.json" in documents else None,
        promotion=document("promotion.json"),
        stopped=document("stopped.json"),
        question=document("question.json"),
        failures=[failure for failure in map(document, sorted(failures)) if failure],
    )


def stored_as(store: ObjectStore, run_id: str) -> str:
    """The id that leads to the folder of ``run_id``: another one where an older release wrote it.

    Asks the store only about an id whose folder that release would have named otherwise.
    """
    key = layout.run_key(run_id)
    try:
        former = layout.former_run_key(run_id)
    except BadConfiguration:
        return run_id
    if former == key or next(store.list_objects(layout.run(run_id)), None) is not None:
        return run_id
    documents = (optional(store, layout.run(former, name)) for name in ("run.json", "decision.json"))
    return former if any(found and found.get("run_id") == run_id for found in documents) else run_id


def run_params(store: ObjectStore, run_id: str, names: Sequence[str]) -> dict[str, Any]:
    """What the run was started with, of ``names``; empty where it left no record."""
    started = optional(store, layout.run(run_id, "run.json")) or {}
    return {name: value for name, value in started.get("params", {}).items() if name in names}


def _reason(decision: Decision | None) -> str:
    if decision is None:
        return ""
    return f"would be {decision.decision}: {decision.reason}" if decision.dry_run else decision.reason


def _data(store: ObjectStore, decision: Decision | None) -> DataCounts | None:
    if decision is None or decision.snapshot_id is None:
        return None
    try:
        return DataCounts.of(snapshot_summary(store, decision.snapshot_id))
    except ObjectMissing:
        return None


def optional(store: ObjectStore, key: str) -> Any:
    """The document at ``key``, None where there is none."""
    try:
        return store.read_json(key)
    except ObjectMissing:
        return None
