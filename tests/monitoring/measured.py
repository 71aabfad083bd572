"""Versions made of a few films each, for tests of what is said about them."""

from typing import Any

import pandas as pd

from pneumo_tasks.monitoring.measured import MeasuredVersion


def films(evidence: str, batch_id: str, *answers: tuple[str, str, float]) -> pd.DataFrame:
    """Films as (name, label, probability), each of a patient of its own."""
    rows = [
        (name, probability, evidence, label, f"p:{name}", batch_id) for name, label, probability in answers
    ]
    return pd.DataFrame(rows, columns=["sha256", "probability", "evidence", "label", "patient", "batch_id"])


def measured(
    version: str, *parts: pd.DataFrame, evaluation: Any = None, registered: bool = True
) -> MeasuredVersion:
    return MeasuredVersion(
        version,
        f"run-{version}",
        f"2026-01-{version[-1]}",
        0.5,
        registered,
        False,
        evaluation,
        pd.concat(parts),
    )
