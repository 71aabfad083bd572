"""One verdict of the gate, as it is written down; which rules there are is in ``deciding``."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

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
