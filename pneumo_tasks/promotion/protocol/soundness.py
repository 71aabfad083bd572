"""Whether a protocol can be met: pairs of values that a sound candidate would fail by chance."""

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.evaluation.figures.recall_margin import CHANCE, chance_of_passing, share_needed
from pneumo_tasks.promotion.protocol.document import BudgetRules, Protocol


def warnings_of(protocol: Protocol, ill: int, healthy: int) -> list[str]:
    """What a person should know before activating: one sentence each, with the probability.

    ``ill`` and ``healthy`` are patients of the test set. A candidate whose true recall is the target
    meets the floor with the probability that a binomial count of ``ill`` trials reaches it; patients with
    several films make that probability a little too far from one half.
    """
    limits, found = protocol.limits, []
    target, floor = float(limits["target_recall"]), float(limits["min_recall"])
    chance = chance_of_passing(ill, target, floor)
    if limits["threshold_policy"] == "target_recall" and chance < CHANCE:
        found.append(
            f"target_recall {target:g} against min_recall {floor:g}: a candidate that reaches its target "
            f"passes the floor on {ill} ill patients with probability {chance:.2f}, below {CHANCE}; "
            f"thresholds are chosen for a recall of about {share_needed(ill, floor):.3f} instead, "
            "and find more false alarms"
        )
    for name, trials in (("recall_margin", ill), ("precision_margin", ill + healthy)):
        if float(limits[name]) * trials < 1:
            found.append(f"{name} {limits[name]} is less than one of {trials} patients: one miss refuses")
    if protocol.approval.approvers and len(protocol.approval.approvers) < 2:
        found.append("only one approver is named: nobody can approve what this person starts")
    return found


class Plan(BaseModel):
    """What a guarantee costs in test patients, and what the test set of today can promise.

    ``needed``: patients of each class before a version that is no worse passes a sideways step half the
    time. ``promised``: the smallest loss of each class that today's patients can rule out of versions that
    never differ, at the level of one asking. ``to_see_the_gain``: ill patients before a true gain of that
    size is at least as good on these films with the wanted probability.
    """

    model_config = ConfigDict(frozen=True)

    loss: float
    specificity_loss: float
    chance: float
    weeks: int
    steps: int
    gain: float
    differ: float
    needed: dict[str, int]
    today: dict[str, int]
    promised: dict[str, float]
    to_see_the_gain: int
    enough: bool


def plan(budget: BudgetRules, today: Mapping[str, int], gain: float, differ: float, power: float) -> Plan:
    """The plan for ``budget``; ``differ`` is the share of films whose verdict changes from week to week.

    The chance over ``weeks`` weeks is that of the sideways steps alone: docs/statistics.md has the
    simulation of the free ones. BadConfiguration where a value is no share.
    """
    from scipy.stats import norm

    from pneumo_tasks.evaluation.figures.paired_bound import smallest_bound

    if not (0 < gain < 1 and 0 <= differ < 1 and 0.5 <= power < 1):
        raise BadConfiguration(
            "a plan needs shares", found=f"gain {gain:g}, differ {differ:g}, power {power:g}",
            do="Give a gain and a share that differs in (0, 1), and a power from 0.5.",
        )  # fmt: skip
    spending = budget.spending()
    z = float(norm.isf(spending.level))
    needed = spending.patients_needed(differ)
    spread = max(differ, gain) - gain**2
    return Plan(
        loss=budget.cumulative_margin,
        specificity_loss=budget.specificity_margin,
        chance=budget.chance,
        weeks=budget.weeks,
        steps=budget.steps,
        gain=gain,
        differ=differ,
        needed=needed,
        today=dict(today),
        promised={label: -smallest_bound(n, z) for label, n in today.items() if n > 0},
        to_see_the_gain=math.ceil(spread * (float(norm.isf(1 - power)) / gain) ** 2),
        enough=all(today.get(label, 0) >= number for label, number in needed.items()),
    )
