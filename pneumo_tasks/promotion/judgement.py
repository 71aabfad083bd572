"""A decision as it is written: what was decided, by which rules, under which protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.revisions import Revision, read_last
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.promotion.spending import Spending
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore

if TYPE_CHECKING:  # whoever reads decisions needs nothing of what measures
    from pneumo_tasks.evaluation.evidence import Evaluation

Outcome = Literal["approved", "rejected", "identical", "nothing-new"]


class Figures(BaseModel):
    """What a list of runs shows of each: test figures, and the change against the champion in shares.

    ``change`` is None where there was no champion; a figure is None where it is undefined.
    """

    model_config = ConfigDict(frozen=True)

    recall: float | None
    precision: float | None
    auc: float | None
    recall_interval: Interval | None
    change: dict[str, float | None] | None

    @classmethod
    def of(cls, evaluation: "Evaluation") -> Self:
        test, versus = evaluation.test, evaluation.champion
        differences = versus.differences if versus else {}
        return cls(
            recall=test.recall,
            precision=test.precision,
            auc=test.auc,
            recall_interval=evaluation.intervals.get("recall"),
            change={name: found.value if found else None for name, found in differences.items()} or None,
        )


class Decision(BaseModel):
    """``approved`` becomes a promotion only once promotion.json is written.

    ``approval`` is a person's answer where one was asked; the rules stand beside it, not below it.
    ``protocol`` is the digest of what it was judged by, ``protocol_seq`` the ledger entry that activated
    that (0: the embedded default); both are None in decisions that were made before there were protocols.
    ``evaluation`` is the document that was judged, None in earlier releases.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    decision: Outcome
    reason: str
    rules: list[Rule]
    snapshot_id: str | None
    version: str | None
    sha256: str | None = None
    champion: str | None = None
    decided_at: str
    approval: Approval | None = None
    figures: Figures | None = None
    dry_run: bool = False
    protocol: str | None = None
    protocol_seq: int | None = None
    spending: Spending | None = None
    evaluation: Revision | None = None


@dataclass(frozen=True)
class Judged:
    """A decision, and the document that holds it; None for a run of an earlier release."""

    decision: Decision
    document: Revision | None


class Decided(BaseModel):
    """What travels on from a decision: the outcome, the candidate, and which document says so."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    decision: Outcome
    reason: str
    version: str | None
    sha256: str | None
    document: Revision | None

    @classmethod
    def of(cls, decision: Decision, document: Revision | None) -> Self:
        return cls(
            document=document, **decision.model_dump(include={"decision", "reason", "version", "sha256"})
        )

    @property
    def digests(self) -> dict[str, str]:
        return {self.document.key: self.document.sha256} if self.document else {}


def decide(evaluation: "Evaluation", rules: Sequence[Rule]) -> Decision:
    """Approved if every rule passes; pure but for the time."""
    failed = [rule for rule in rules if rule.verdict == "fail"]
    return Decision(
        run_id=evaluation.run_id,
        decision="rejected" if failed else "approved",
        reason="; ".join(map(_said, failed)) or f"all {len(rules)} rules passed",
        rules=list(rules),
        snapshot_id=evaluation.snapshot_id,
        version=evaluation.version,
        sha256=evaluation.sha256,
        champion=evaluation.champion and evaluation.champion.version,
        decided_at=journal.now(),
        figures=Figures.of(evaluation),
    )


def _said(rule: Rule) -> str:
    if rule.value is None or rule.margin is None:
        return f"{rule.name} has {rule.why}"
    if (rule.value, rule.limit) == (0, 1):
        return f"{rule.name}: no, {rule.why}"
    side = "below" if rule.value < rule.limit else "above"
    return f"{rule.name} {rule.value:.4g} is {abs(rule.margin):.2g} {side} its limit {rule.limit:g}"


def read_decision(store: ObjectStore, run_id: str) -> Decision:
    """What decision.json says now; whoever promotes asks ``read_judged``."""
    with understood(key := layout.run(run_id, "decision.json")):
        return Decision.model_validate(store.read_json(key))


def read_judged(store: ObjectStore, run_id: str) -> Judged:
    """The run's last decision; CorruptArtefact where decision.json is not its last revision."""
    body, last = read_last(store, run_id, "decision", "decide_promotion")
    return Judged(Decision.model_validate_json(body), last)
