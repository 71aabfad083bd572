"""A person's answer to "may this candidate become the champion?", beside the gate's."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pneumo_tasks import journal


class Approval(BaseModel):
    """Who said what, why and when (UTC, ISO 8601); it enters the decision, the ledger and the report.

    A time limit that ran out is a ``reject`` too, ``by`` whoever set the limit.
    """

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    verdict: Literal["promote", "reject"]
    by: str = Field(min_length=1, max_length=200)
    reason: str = Field("", max_length=2000)
    at: str = Field(default_factory=journal.now)
    # What the UI says of the person; never written, for it is nobody's word but the moment's.
    roles: tuple[str, ...] = Field((), exclude=True)

    @property
    def sentence(self) -> str:
        """As the decision and the ledger tell it."""
        said = "approved" if self.verdict == "promote" else "rejected"
        return f"{said} by {self.by}: {self.reason or 'no reason given'}"
