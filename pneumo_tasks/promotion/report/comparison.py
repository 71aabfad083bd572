"""Two runs side by side: what was different, in the data, the recipe and the figures."""

from typing import Any

from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.storage.object_store import ObjectStore

_FIGURES = (
    *("recall", "precision", "specificity", "npv", "f1", "accuracy", "balanced_accuracy"),
    *("auc", "pr_auc", "brier", "calibration_error"),
)


def compare_runs(store: ObjectStore, first: str, second: str) -> list[dict[str, Any]]:
    """Rows of name, first, second and change; change is None for what is no number.

    Figures on different test sets are both shown, without a change: they cannot be subtracted.
    """
    runs = (first, second)
    decisions = [read_decision(store, run_id).decision for run_id in runs]
    one, other = (read_evaluation(store, run_id) for run_id in runs)
    rows = [{"name": "decision", "first": decisions[0], "second": decisions[1], "change": None}]
    plain = ("version", "recipe", "snapshot_id", "test_set_id")
    rows += [_row(name, getattr(one, name), getattr(other, name)) for name in plain]
    rows.append(_row("threshold", one.operating_point.threshold, other.operating_point.threshold))
    same = one.test_set_id == other.test_set_id
    return rows + [
        _row(f"test {name}", getattr(one.test, name), getattr(other.test, name), same) for name in _FIGURES
    ]


def _row(name: str, first: Any, second: Any, comparable: bool = True) -> dict[str, Any]:
    numbers = isinstance(first, float) and isinstance(second, float) and comparable
    return {"name": name, "first": first, "second": second, "change": second - first if numbers else None}
