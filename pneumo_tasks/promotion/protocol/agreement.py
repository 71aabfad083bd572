"""Two persons, two calls: the first says what and why, the same call by a named second one agrees.

So go a protocol's activation, and on the command line a rollback, a reset and a changed test set.
"""

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.protocol.approvers import check_approval
from pneumo_tasks.promotion.protocol.document import ApprovalRules
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


class Proposal(BaseModel):
    """Who wants a change, and why, while a second person is asked; written once."""

    model_config = ConfigDict(frozen=True)

    by: str
    reason: str
    at: str


def agree(
    store: ObjectStore, rules: ApprovalRules, key: str, by: str, reason: str
) -> tuple[Proposal, Approval | None]:
    """The proposal kept at ``key``, and the consent of a second person; None while that is missing.

    PromotionRefused where the second caller may not agree: not named, or the first one again.
    """
    first = Proposal(by=by, reason=reason, at=journal.now())
    proposal = Proposal.model_validate_json(store.put_once(key, canonical_json(first.model_dump())))
    if proposal == first:
        return proposal, None
    approval = Approval(verdict="promote", by=by, reason=reason)
    check_approval(rules, approval, proposal.by)
    return proposal, approval


def asks(rules: ApprovalRules) -> str:
    """What the first person is told."""
    named = ", ".join(rules.approvers)
    return f"recorded; a second person has to agree, one of {named}: the same command with their reason"
