"""What report.json holds; its JSON schema is what ``pneumo report schema`` prints."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pneumo_tasks.dataset.balance import ClassBalance
from pneumo_tasks.dataset.summary import SnapshotSummary
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.explanations import Explanation
from pneumo_tasks.intake.labelling import WaitingForLabels
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.report.beside import BesideTestSet
from pneumo_tasks.promotion.report.governance import AtPrevalence, Governance
from pneumo_tasks.promotion.runs.promoted import Promotion
from pneumo_tasks.training.export.candidate import Candidate


class Reported(BaseModel):
    """The page of a report: where it is, and the digest of what was written there."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    sha256: str


class StageTime(BaseModel):
    name: str
    seconds: float


class DataFlow(SnapshotSummary):
    """The snapshot, and how many images were left out for each reason."""

    excluded_by_reason: dict[str, int]


class TrainingStage(BaseModel):
    """One stage's history; an epoch holds ``epoch``, its losses and what the stage measured."""

    model_config = ConfigDict(extra="allow")

    title: str
    epochs: list[dict[str, Any]]
    best_epoch: int
    selection: str


class Miss(BaseModel):
    sha256: str
    file: str
    label: str
    probability: float


class Report(BaseModel):
    """Everything the page says, machine-readable; parts that a run did not reach are null or empty."""

    model_config = ConfigDict(title="Pneumo promotion report")

    schema_version: int = Field(alias="schema")
    run_id: str
    written_at: str
    headline: str
    banners: list[str]
    decision: Decision
    promotion: Promotion | None
    protocol: Governance | None = None
    at_prevalence: AtPrevalence | None = None
    beside: list[BesideTestSet] = []
    stages: list[StageTime]
    summary: DataFlow | None
    unlabelled: WaitingForLabels | None = None
    balance: ClassBalance | None
    candidate: Candidate | None
    evaluation: Evaluation | None
    training: list[TrainingStage]
    curves: dict[str, dict[str, list[float]]] | None
    pictures: dict[str, Explanation]
    misses: list[Miss]
