"""How a run stands: said by its newest fact, not by which files exist."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pneumo_tasks import journal
from pneumo_tasks.promotion.decision import Decision
from pneumo_tasks.storage.object_store import Listed

State = Literal["running", "success", "failed", "stopped", "lost-contact"]
Outcome = Literal["promoted", "rejected", "identical", "dry-run", "nothing-new", "failed"]

# Longer than any one task may take with its retries, and than Airflow lets a run take without a person.
SILENCE = timedelta(hours=24)
_LONGEST_APPROVAL_HOURS = 24 * 30


@dataclass(frozen=True)
class Standing:
    """``reason`` is empty where the decision gives it."""

    state: State
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
        last = self._last_sign()
        if last is not None and (now or datetime.now(UTC)) - last > self._patience():
            return Standing("lost-contact", reason=f"nothing was heard of it since {last:%Y-%m-%d %H:%M} UTC")
        return Standing("running")

    def _counts(self, failure: dict[str, Any], begun: dict[str, int]) -> bool:
        if self.decision is not None and self.decision.decided_at > failure["at"]:
            return False
        attempt = journal.Attempt(failure["task"], failure.get("place", -1))
        return begun.get(attempt.name, 0) <= int(failure.get("try", 0))

    def _last_sign(self) -> datetime | None:
        """When the store last took a fact of the run, by the store's own clock."""
        return max((found.modified for found in self.listed if found.modified), default=None)

    def _patience(self) -> timedelta:
        """How long silence may last: a run that waits for a person may take what the person may take."""
        if not self.approved:
            return SILENCE
        return SILENCE + timedelta(hours=self.started.get("approval_hours", _LONGEST_APPROVAL_HOURS))
