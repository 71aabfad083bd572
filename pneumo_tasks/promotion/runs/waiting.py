"""A candidate that waits for a person: since when, until when, and what their answer has to be."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing, PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.protocol.approvers import check_approval
from pneumo_tasks.promotion.protocol.governing import Governed
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

# Clocks of an API server and of a worker differ a little.
_CLOCKS = timedelta(minutes=5)


class Question(BaseModel):
    """runs/<run>/question.json: when a person was asked, written once; ``hours`` is how long it counts.

    ``typed``: nobody was there to be asked, so the run ends, and the candidate waits for the command line.
    """

    model_config = ConfigDict(frozen=True)

    asked_at: str
    hours: float
    typed: bool = False

    @property
    def until(self) -> datetime:
        return datetime.fromisoformat(self.asked_at) + timedelta(hours=self.hours)


def ask(store: ObjectStore, run_id: str, hours: float, typed: bool = False) -> Question:
    """Record that the candidate of ``run_id`` waits for a person; asked again, the first time counts."""
    body = canonical_json(Question(asked_at=journal.now(), hours=hours, typed=typed).model_dump())
    return Question.model_validate_json(store.put_once(layout.run(run_id, "question.json"), body))


def check_answer(governed: Governed, store: ObjectStore, decision: Decision, approval: Approval) -> None:
    """Raise PromotionRefused unless this yes is one that the protocol lets this person say, in time.

    Checked here whatever the caller checked: the answer may come from a database, or a terminal.
    """
    try:
        question = Question.model_validate(store.read_json(layout.run(decision.run_id, "question.json")))
    except ObjectMissing:
        question = Question(asked_at=decision.decided_at, hours=governed.settings.approval_hours)
    if datetime.fromisoformat(approval.at) > question.until + _CLOCKS:
        raise PromotionRefused(
            "the answer came too late",
            where=layout.run(decision.run_id),
            found=f"asked at {question.asked_at} for {question.hours:g} hours, answered at {approval.at}",
            do="Start another run.",
        )
    check_approval(governed.active.protocol.approval, approval, _starter(store, decision.run_id))


def overdue(question: dict[str, Any], now: datetime | None = None) -> bool:
    """Whether nobody may answer any more."""
    return (now or datetime.now(UTC)) > Question.model_validate(question).until + _CLOCKS


def _starter(store: ObjectStore, run_id: str) -> str | None:
    try:
        started = store.read_json(layout.run(run_id, "run.json"))
    except ObjectMissing:
        return None
    return str(started["by"]) if started.get("by") else None
