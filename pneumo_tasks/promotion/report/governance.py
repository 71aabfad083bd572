"""What the report says of the protocol: which one the decision was judged by, and what it asks for."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.promotion.deciding.prevalence import net_benefit, precision_at, precision_interval
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.ledger.ledger import read_ledger
from pneumo_tasks.promotion.protocol.activation import KIND, parse_stored
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


class Governance(BaseModel):
    """``seq`` 0: the embedded default. ``since``: the digest of a protocol that was activated later."""

    model_config = ConfigDict(frozen=True)

    digest: str
    seq: int
    name: str
    intended_use: str
    limits: dict[str, Any]
    activated_by: str | None = None
    activated_at: str | None = None
    since: str | None = None
    budget: str | None = None


class AtPrevalence(BaseModel):
    """Figures that the class mix of the test set cannot move, for candidate and champion."""

    model_config = ConfigDict(frozen=True)

    prevalence: float
    threshold: float
    precision: float | None
    interval: Interval | None
    champion_precision: float | None
    net_benefit: float | None
    champion_net_benefit: float | None
    net_benefit_of_all_ill: float


def governance(store: ObjectStore, decision: Decision) -> Governance | None:
    """None for a decision that was made before there were protocols."""
    if decision.protocol is None:
        return None
    activations = [entry for entry in read_ledger(store) if entry.kind == KIND]
    own = next((entry for entry in activations if entry.seq == decision.protocol_seq), None)
    key = layout.protocol(decision.protocol) if own else layout.run(decision.run_id, "protocol.json")
    try:
        protocol = parse_stored(key, store.read_verified(key, decision.protocol))
    except ObjectMissing:
        return None
    later = activations[-1].sha256 if activations and activations[-1] is not own else None
    return Governance(
        digest=decision.protocol,
        seq=decision.protocol_seq or 0,
        name=protocol.name,
        intended_use=protocol.intended_use,
        limits=protocol.limits,
        activated_by=own.by if own else None,
        activated_at=own.at if own else None,
        since=later if later != decision.protocol else None,
        budget=decision.spending.sentence if decision.spending else None,
    )


def at_prevalence(protocol: Governance | None, evaluation: Evaluation) -> AtPrevalence | None:
    """None without a protocol: it states the prevalence and the threshold probability."""
    if protocol is None:
        return None
    share, threshold = (
        float(protocol.limits["stated_prevalence"]),
        float(protocol.limits["benefit_threshold"]),
    )
    test, found = evaluation.test, evaluation.intervals
    other = evaluation.champion.test if evaluation.champion else None
    pair = [(getattr(test, name), found.get(name)) for name in ("recall", "specificity")]
    all_ill = net_benefit(1.0, 0.0, share, threshold)
    return AtPrevalence(
        prevalence=share,
        threshold=threshold,
        precision=precision_at(test.recall, test.specificity, share),
        interval=precision_interval(pair[0], pair[1], share),
        champion_precision=precision_at(other.recall, other.specificity, share) if other else None,
        net_benefit=net_benefit(test.recall, test.specificity, share, threshold),
        champion_net_benefit=net_benefit(other.recall, other.specificity, share, threshold)
        if other
        else None,
        net_benefit_of_all_ill=all_ill or 0.0,
    )
