"""Drift of what the live model is shown and what it answers: facts for a reviewer, and never an alarm.

A season changes both and is no fault of the model; there is no bound on how often drift alone would be wrong.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.probes.shift import ShiftFact, batch_drift
from pneumo_tasks.intake.records.accepted import accepted_verdicts
from pneumo_tasks.intake.rules.drift import kolmogorov_smirnov, population_stability
from pneumo_tasks.monitoring.outcomes import Import
from pneumo_tasks.storage.object_store import ObjectStore

RECENT = timedelta(days=28)
_FEWEST, _BATCHES = 50, 5


class ScoreDrift(BaseModel):
    """The probabilities of the last four weeks against those before: PSI and Kolmogorov-Smirnov."""

    model_config = ConfigDict(frozen=True)

    recent: int
    before: int
    psi: float
    ks: float


def score_drift(imports: Sequence[Import], version: str) -> ScoreDrift | None:
    """None where either side has fewer than 50 studies. A study counts when it was first imported."""
    first: dict[str, tuple[datetime, float]] = {}
    for one in imports:
        for row in one.rows:
            if row.version == version:
                first.setdefault(row.study, (datetime.fromisoformat(one.arrived_at), row.probability))
    if not first:
        return None
    edge = max(moment for moment, _ in first.values()) - RECENT
    recent = np.array([value for moment, value in first.values() if moment > edge])
    before = np.array([value for moment, value in first.values() if moment <= edge])
    if min(len(recent), len(before)) < _FEWEST:
        return None
    return ScoreDrift(
        recent=len(recent),
        before=len(before),
        psi=population_stability(before, recent),
        ks=kolmogorov_smirnov(before, recent),
    )


def image_drift(store: ObjectStore) -> list[ShiftFact]:
    """How the newest accepted batches differed from the training films of their day."""
    verdicts = accepted_verdicts(store)[-_BATCHES:]
    return list(batch_drift(verdicts, [verdict.batch_id for verdict in verdicts]))
