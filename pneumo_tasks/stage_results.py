"""What stages come to, where no room below has a model for it: small, frozen, and kept in no bucket."""

from pydantic import BaseModel, ConfigDict, Field

from pneumo_tasks.dataset.balance import ClassBalance
from pneumo_tasks.dataset.snapshots import SnapshotRef
from pneumo_tasks.promotion.runs.state import Outcome, RunState


class StageResult(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Discovered(StageResult):
    """The batches that this run judges; ``later`` more wait for the next run."""

    batches: list[str]
    later: int


class Assembled(StageResult):
    """``snapshot`` is what is trained on; None where there is ``nothing_new`` to train on, and why."""

    snapshot: SnapshotRef | None
    nothing_new: str = ""


class Balanced(ClassBalance):
    """The class balance, and the digest of the document that holds it."""

    digests: dict[str, str] = Field({})


class Closed(StageResult):
    """How the run ended, and the line for people about it; ``is_news`` where they want to hear of it."""

    state: RunState
    decision: Outcome | None
    reason: str
    note: str

    @property
    def is_news(self) -> bool:
        return self.decision in ("promoted", "rejected", "identical")
