"""The document that a promotion leaves with its run, written after the pointer moved."""

from pydantic import BaseModel, ConfigDict


class Promotion(BaseModel):
    """runs/<run>/promotion.json: this run's candidate became the champion."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    version: str
    sha256: str
    seq: int
    promoted_at: str
    by: str = "the gate"
