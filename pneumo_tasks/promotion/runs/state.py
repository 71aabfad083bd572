"""How a run stands: said by its newest fact, not by which files exist."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pneumo_tasks import journal
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.runs.waiting import Question, overdue
from pneumo_tasks.storage.object_store import Listed

RunState = Literal["running", "waiting", "success", "failed", "stopped", "lost-contact"]
# No task of ours goes on, or it may: what is said now need not hold for good.
UNSETTLED = ("running", "waiting")
Outcome = Literal["promoted", "rejected", "identical", "dry-run", "nothing-new", "failed"]

# Longer than any one task may take with its retries, and than Airflow lets a run take without a person.
SILENCE = timedelta(hours=24)
# The tasks of a run in the order that they begin in; a mapped one may begin many times at once.
ORDER = (
    *("discover_batches", "validate_batch", "assemble_dataset", "compute_class_balance", "list_shards"),
    *("extract_features", "score_unseen", "train_head", "fine_tune_block5", "export_candidate"),
    *("evaluate_candidate", "decide_promotion", "write_report", "ask_for_approval", "approve_promotion"),
    "promote_model",
)
_LONGEST_APPROVAL_HOURS = 24 * 30


@dataclass(frozen=True)
class Standing:
    """``reason`` is empty where the decision gives it."""

    state: RunState
    outcome: Outcome | None = None
    reason: str = ""


def is_of(promotion: dict[str, Any] | None, decision: Decision) -> bool:
    """Whether promotion.json is about the candidate of this decision, not about another one of the run."""
    told = promotion or {}
    return told.get("version") == decision.version and told.get("sha256", decision.sha256) == decision.sha256


@dataclass(frozen=True)
class RunFacts:
    """Everything the bucket holds that says how a run stands."""

    listed: list[Listed]
    started: dict[str, Any] = field(default_factory=dict)
    decision: Decision | None = None
    promotion: dict[str, Any] | None = None
    stopped: dict[str, Any] | None = None
    failures: list[dict[str, Any]] = field(default_factory=list)
    question: dict[str, Any] | None = None

    @property
    def approved(self) -> bool:
        """Whether the gate said yes, and meant it."""
        return (
            self.decision is not None and self.decision.decision == "approved" and not self.decision.dry_run
        )

    def state(self, now: datetime | None = None) -> Standing:
        """What became of the run by ``now``.

        A decision settles it. A failure counts until its task is tried again or a decision follows, a
        stop until anything begins again; and a run that is silent for too long is no longer running.
        """
        decision = self.decision
        if decision is not None and decision.dry_run:
            return Standing("success", "dry-run")
        if decision is not None and decision.decision != "approved":
            return Standing("success", decision.decision)
        if decision is not None and is_of(self.promotion, decision):
            return Standing("success", "promoted")
        begun = journal.tries(self.listed)
        if self.stopped is not None and self.stopped.get("tries") == begun:
            return Standing("stopped", reason=self.stopped["reason"])
        if failures := [failure for failure in self.failures if self._counts(failure, begun)]:
            return Standing("failed", "failed", max(failures, key=lambda failure: failure["at"])["reason"])
        if self.approved and self.question is not None:
            return self._waiting(self.question, now)
        last = self._last_sign()
        if last is not None and (now or datetime.now(UTC)) - last > self._patience():
            return Standing("lost-contact", reason=f"nothing was heard of it since {last:%Y-%m-%d %H:%M} UTC")
        return Standing("running")

    def _waiting(self, question: dict[str, Any], now: datetime | None) -> Standing:
        until = f"{Question.model_validate(question).until:%Y-%m-%d %H:%M} UTC"
        if overdue(question, now):
            return Standing("stopped", reason=f"nobody approved the candidate until {until}")
        return Standing("waiting", reason=f"the candidate waits for a person until {until}")

    def _counts(self, failure: dict[str, Any], begun: dict[str, int]) -> bool:
        if self.decision is not None and self.decision.decided_at > failure["at"]:
            return False
        attempt = journal.Attempt(failure["task"], failure.get("place", -1))
        if begun.get(attempt.name, 0) > int(failure.get("try", 0)):
            return False
        return not self._goes_again(attempt)

    def _goes_again(self, failed: journal.Attempt) -> bool:
        """Whether an earlier task began again after this failure: then it was cleared with what follows."""
        written = self._modified(f"/failures/{failed.name}.json")
        if written is None or failed.task not in ORDER:
            return False
        earlier = [self._modified(f"/begun/{task}~", "~1.json") for task in ORDER[: ORDER.index(failed.task)]]
        return any(begun > written for begun in earlier if begun)

    def _modified(self, name: str, but: str = "/") -> datetime | None:
        """When the store last took an object of the run with this in its key; none that ends with ``but``."""
        places = [one for one in self.listed if name in one.key and not one.key.endswith(but)]
        return max((one.modified for one in places if one.modified), default=None)

    def _last_sign(self) -> datetime | None:
        """When the store last took a fact of the run, by the store's own clock."""
        return max((found.modified for found in self.listed if found.modified), default=None)

    def _patience(self) -> timedelta:
        """How long silence may last: a run that waits for a person may take what the person may take."""
        if not self.approved:
            return SILENCE
        return SILENCE + timedelta(hours=self.started.get("approval_hours", _LONGEST_APPROVAL_HOURS))
