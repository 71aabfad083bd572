"""Whether a protocol can be met: pairs of values that a sound candidate would fail by chance."""

from pneumo_tasks.promotion.protocol.document import Protocol

SOUND = 0.9


def warnings_of(protocol: Protocol, ill: int, healthy: int) -> list[str]:
    """What a person should know before activating: one sentence each, with the probability.

    ``ill`` and ``healthy`` are patients of the test set. A candidate whose true recall is the target
    meets the floor with the probability that a binomial count of ``ill`` trials reaches it; patients with
    several films make that probability a little too far from one half.
    """
    limits, found = protocol.limits, []
    chance = chance_of_passing(ill, float(limits["target_recall"]), float(limits["min_recall"]))
    if limits["threshold_policy"] == "target_recall" and chance < SOUND:
        found.append(
            f"target_recall {limits['target_recall']} against min_recall {limits['min_recall']}: a candidate "
            f"that reaches its target passes the floor on {ill} ill patients with probability {chance:.2f}, "
            f"below {SOUND}; raise the target or lower the floor"
        )
    for name, trials in (("recall_margin", ill), ("precision_margin", ill + healthy)):
        if float(limits[name]) * trials < 1:
            found.append(f"{name} {limits[name]} is less than one of {trials} patients: one miss refuses")
    if protocol.approval.approvers and len(protocol.approval.approvers) < 2:
        found.append("only one approver is named: nobody can approve what this person starts")
    return found


def chance_of_passing(trials: int, share: float, floor: float) -> float:
    """P(successes / trials >= floor) for independent trials that each succeed with probability ``share``."""
    import math

    from scipy.stats import binom

    needed = math.ceil(round(floor * trials, 9))
    return float(binom.sf(needed - 1, trials, share))
