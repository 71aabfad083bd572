"""The gate: an ordered list of rules, each a pure function of the evidence.

A value that is missing or not finite fails its rule: a gate that cannot see stays shut.
"""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.evaluation import Evaluation
from pneumo_tasks.settings import Settings

Verdict = Literal["pass", "fail"]


class Rule(BaseModel):
    """A verdict with what it rests on; ``margin`` is how far inside (+) or outside (-) the limit."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float | None
    limit: float
    margin: float | None
    verdict: Verdict
    why: str


def at_least(name: str, value: float | None, limit: float, why: str) -> Rule:
    """Pass where ``value`` is a finite number not below ``limit``."""
    return _judge(name, value, limit, why, sign=1)


def at_most(name: str, value: float | None, limit: float, why: str) -> Rule:
    """Pass where ``value`` is a finite number not above ``limit``."""
    return _judge(name, value, limit, why, sign=-1)


def judge(settings: Settings, evaluation: Evaluation) -> list[Rule]:
    """All rules, in the order of the report; the candidate may be promoted if every one passes."""
    return [*_floors(settings, evaluation)]


def _floors(settings: Settings, evaluation: Evaluation) -> list[Rule]:
    return [
        at_least(
            "test recall",
            evaluation.test.recall,
            settings.min_recall,
            "share of the pneumonias on the test set that are found; PNEUMO_MIN_RECALL",
        ),
        at_least(
            "test precision",
            evaluation.test.precision,
            settings.min_precision,
            "share of the alarms on the test set that are right; PNEUMO_MIN_PRECISION",
        ),
    ]


def _judge(name: str, value: float | None, limit: float, why: str, sign: int) -> Rule:
    if value is None or not math.isfinite(value):
        return Rule(
            name=name,
            value=None,
            limit=limit,
            margin=None,
            verdict="fail",
            why=f"no finite value: {why}",
        )
    # Margins are shares of counts; beyond twelve digits there is only floating-point noise.
    margin = round(sign * (value - limit), 12)
    return Rule(
        name=name,
        value=float(value),
        limit=limit,
        margin=margin,
        verdict="pass" if margin >= 0 else "fail",
        why=why,
    )
