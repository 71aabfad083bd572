"""Runs as the command line and the UI show them."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal, layout
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.promotion.decision import Decision, read_decision
from pneumo_tasks.promotion.gate import Rule

State = Literal["running", "success", "failed"]
Outcome = Literal["promoted", "rejected", "nothing-new", "failed"]


class RunSummary(BaseModel):
    """``decision`` is None while the run goes on; ``promoted`` only once the pointer has moved."""

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


def list_runs(store: ObjectStore) -> list[RunSummary]:
    """Every run that left anything in the bucket, the youngest first; not those of a comparison."""
    names = [name for name in store.list_folders(layout.RUNS) if not name.startswith(layout.COMPARED)]
    runs = [show_run(store, name) for name in names]
    return sorted(runs, key=lambda run: (run.started or run.decided_at or "", run.run_id), reverse=True)


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
        reason=failure["reason"] if outcome == "failed" and failure else decision.reason if decision else "",
        rules=decision.rules if decision else [],
        stages=stages,
        snapshot_id=decision.snapshot_id if decision else None,
        version=decision.version if decision else None,
        started=(started or {}).get("started"),
        decided_at=decision.decided_at if decision else None,
    )


def run_params(store: ObjectStore, run_id: str, names: Sequence[str]) -> dict[str, Any]:
    """What the run was started with, of ``names``; empty where it left no record."""
    started = optional(store, layout.run(run_id, "run.json")) or {}
    return {name: value for name, value in started.get("params", {}).items() if name in names}


def _outcome(
    store: ObjectStore, run_id: str, decision: Decision | None, failure: Any
) -> tuple[State, Outcome | None]:
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
