"""Bounds: in which direction each limit of the gate is tighter, and which values a run may take.

A run may tighten what the protocol says. It never loosens it, whoever starts it and by whichever door.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pneumo_tasks.errors import BadConfiguration

Direction = Literal["floor", "ceiling", "fixed", "on"]

LOOSER = "this run would loosen the protocol"

# floor: a higher value is tighter; ceiling: a lower one; fixed: no other value; on: never turned off.
DIRECTIONS: dict[str, Direction] = {
    "min_recall": "floor",
    "min_precision": "floor",
    "min_auc": "floor",
    "min_recall_bound": "floor",
    "min_precision_bound": "floor",
    "recall_margin": "ceiling",
    "precision_margin": "ceiling",
    "original_recall_margin": "ceiling",
    "original_precision_margin": "ceiling",
    "free_step": "ceiling",
    "min_specificity": "floor",
    "min_unseen_recall": "floor",
    "min_precision_at_prevalence": "floor",
    "stated_prevalence": "fixed",
    "benefit_threshold": "fixed",
    "min_test_patients": "floor",
    "slice_min_images": "ceiling",  # with more images asked for, fewer slices are judged
    "slice_min_recall": "floor",
    "slice_min_specificity": "floor",
    "slice_max_recall_gap": "ceiling",
    "slice_max_specificity_gap": "ceiling",
    "max_occlusion_shift": "ceiling",
    "max_latency_seconds": "ceiling",
    "max_memory_mb": "ceiling",
    "resamples": "floor",
    "threshold_policy": "fixed",
    "target_recall": "fixed",
    "missed_case_price": "fixed",
    "require_approval": "on",
    "approval_hours": "ceiling",
    "require_signature": "on",
}


@dataclass(frozen=True)
class Change:
    """One limit that differs: the value before, the value after, and what that makes of the bar."""

    name: str
    before: Any
    after: Any
    effect: Literal["tighter", "looser", "other"]

    def __str__(self) -> str:
        return f"{self.name}: {self.before} to {self.after} ({self.effect})"


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every limit of DIRECTIONS that is in both and differs, in the order of DIRECTIONS.

    A value that differs where none may is ``other``; so is a value that cannot be compared.
    """
    named = [name for name in DIRECTIONS if name in before and name in after]
    return [
        Change(name, before[name], after[name], _effect(DIRECTIONS[name], before[name], after[name]))
        for name in named
        if before[name] != after[name]
    ]


def refuse_looser(changes: Iterable[Change], where: str) -> None:
    """Raise BadConfiguration naming each change that is not tighter, with both values."""
    refused = [change for change in changes if change.effect != "tighter"]
    if refused:
        raise BadConfiguration(
            LOOSER,
            where=where,
            found="; ".join(f"{c.name} is {c.after}, the protocol says {c.before}" for c in refused),
            do="Leave these values out, or activate another protocol: `pneumo protocol activate`.",
        )


def _effect(direction: Direction, before: Any, after: Any) -> Literal["tighter", "looser", "other"]:
    if direction == "fixed":
        return "other"
    if direction == "on":
        return "tighter" if after else "looser"
    try:
        rises = float(after) > float(before)
    except (TypeError, ValueError):
        return "other"
    return "tighter" if rises == (direction == "floor") else "looser"
