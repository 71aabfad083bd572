"""Runs as the command line and the UI show them."""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.dataset.snapshots import SnapshotSummary, snapshot_summary
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.decision import Decision, Figures, read_decision
from pneumo_tasks.promotion.gate import Rule
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

State = Literal["running", "success", "failed"]
Outcome = Literal["promoted", "rejected", "dry-run", "nothing-new", "failed"]


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
    nobody is known to have started it.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    state: State
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

    @property
    def moment(self) -> str:
        """When it started, or was decided where no start is on record; for sorting and for the chart."""
        return self.started or self.decided_at or ""


def show_run(store: ObjectStore, run_id: str) -> RunSummary:
    """One run; ObjectMissing where the bucket knows nothing of it."""
    started = optional(store, layout.run(run_id, "run.json"))
    stages = journal.stages(store, run_id)
    try:
        decision = read_decision(store, run_id)
    except ObjectMissing:
        decision = None
    failure = optional(store, layout.run(run_id, "failure.json"))
    if started is None and decision is None and failure is None and not stages:
        raise ObjectMissing("no such run", where=layout.run(run_id), do="See `pneumo runs list`.")
    state, outcome = _outcome(store, run_id, decision, failure)
    return RunSummary(
        run_id=(started or {}).get("run_id") or (decision.run_id if decision else run_id),
        state=state,
        decision=outcome,
        reason=failure["reason"] if outcome == "failed" and failure else _reason(decision),
        rules=decision.rules if decision else [],
        stages=stages,
        snapshot_id=decision.snapshot_id if decision else None,
        version=decision.version if decision else None,
        started=(started or {}).get("started"),
        decided_at=decision.decided_at if decision else None,
        started_by=(started or {}).get("by"),
        champion=decision.champion if decision else None,
        figures=decision.figures if decision else None,
        data=_data(store, decision),
        approval=decision.approval if decision else None,
    )


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


def _outcome(
    store: ObjectStore, run_id: str, decision: Decision | None, failure: Any
) -> tuple[State, Outcome | None]:
    if decision is not None and decision.dry_run:
        return "success", "dry-run"
    if decision is not None and decision.decision != "approved":
        return "success", decision.decision
    if decision is not None and store.exists(layout.run(run_id, "promotion.json")):
        return "success", "promoted"
    return ("failed", "failed") if failure else ("running", None)


def optional(store: ObjectStore, key: str) -> Any:
    """The document at ``key``, None where there is none."""
    try:
        return store.read_json(key)
    except ObjectMissing:
        return None
