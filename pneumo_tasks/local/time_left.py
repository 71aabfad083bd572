"""How long a run still takes: what its stages take on two quiet cores, scaled by what has ended here."""

from collections.abc import Iterable, Mapping
from typing import Any

ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}

# Seconds of each stage, in order, with the scheduler's share: whatever there is to do, and for each film of
# the phantoms' size.
STAGES: dict[str, tuple[float, float]] = {
    "discover_batches": (6, 0),
    "validate_batch": (8, 0.01),
    "assemble_dataset": (3, 0.001),
    "list_shards": (2, 0),
    "compute_class_balance": (2, 0),
    "extract_features": (20, 0.08),
    "score_unseen": (3, 0),
    "train_head": (12, 0.01),
    "fine_tune_block5": (5, 0),
    "export_candidate": (45, 0),
    "evaluate_candidate": (40, 0.02),
    "decide_promotion": (3, 0),
    "write_report": (4, 0),
    "ask_for_approval": (3, 0),
    "promote_model": (7, 0),
    "close_run": (3, 0),
}
REAL_FILM = 5.0  # the default recipe's work on an X-ray, in films of the phantoms' recipe
_FIRST_TOLD = "assemble_dataset"  # two stages have ended then: enough to compare this machine with
_SLOWEST, _FASTEST = 20.0, 0.5  # times the quiet machine's seconds


def seconds_left(
    instances: Iterable[Mapping[str, Any]], films: float, since: float, now: float
) -> float | None:
    """Seconds until the run ends; None before the third stage, and where it waits for a person.

    ``since`` and ``now`` are seconds after the run began: when a task last began or ended, and the present.
    """
    states: dict[str, set[str]] = {}
    for task in instances:
        states.setdefault(task["task_id"], set()).add(str(task["state"]))
    if "running" in states.get("approve_promotion", ()) or "deferred" in states.get("approve_promotion", ()):
        return None
    ended = {name for name in STAGES if name in states and states[name] <= ENDED}
    names = list(STAGES)
    if not set(names[: names.index(_FIRST_TOLD)]) <= ended:
        return None
    cost = {name: fixed + each * films for name, (fixed, each) in STAGES.items()}
    behind, ahead = (sum(cost[name] for name in part) for part in (ended, set(names) - ended))
    pace = min(_SLOWEST, max(_FASTEST, since / behind))
    return max(0.0, pace * ahead - (now - since))


def in_words(seconds: float) -> str:
    """About how long, never finer than it is known."""
    if seconds < 100:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{seconds / 60:.0f} min"
