"""Independence and shift: whether the films of a run come from one world, beside what its figures say."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.intake.records.verdicts import BatchVerdict

_DRIFT = "drift-"


class ShiftFact(BaseModel):
    """Something a reviewer has to know before trusting a figure; no rule of the gate rests on it.

    ``found`` and ``limit`` are for people; ``limit`` is empty where nothing was set.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    name: str
    found: str
    limit: str
    verdict: Literal["pass", "warning"]


def batch_drift(verdicts: Sequence[BatchVerdict], batches: Sequence[str]) -> Iterator[ShiftFact]:
    """How each of ``batches`` differed, when it was validated, from the training films of that day."""
    for verdict in verdicts:
        if verdict.batch_id in batches:
            for check in verdict.checks:
                if check.name.startswith(_DRIFT):
                    yield ShiftFact(
                        subject=f"batch {verdict.batch_id}",
                        name=check.name.removeprefix(_DRIFT),
                        found=check.value,
                        limit=check.limit,
                        verdict="pass" if check.verdict == "pass" else "warning",
                    )
