"""A check: one rule on a batch as a whole, judged."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["critical", "warning"]


class BatchCheck(BaseModel):
    """One batch rule, judged; ``value`` and ``limit`` are for people."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: str
    limit: str
    severity: Severity
    verdict: Literal["pass", "fail"]

    def __str__(self) -> str:
        return f"{self.name}: {self.value}, limit {self.limit}"


def judged(name: str, value: str, limit: str, good: bool, severity: Severity = "critical") -> BatchCheck:
    return BatchCheck(
        name=name, value=value, limit=limit, severity=severity, verdict="pass" if good else "fail"
    )
