"""Four eyes: whether the person who answered may approve what another person started."""

from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.protocol.document import ApprovalRules


def check_approval(rules: ApprovalRules, approval: Approval, started_by: str | None) -> None:
    """Raise PromotionRefused unless ``approval`` is a yes that the rules let this person say.

    An unknown starter is no other person: then only the rule that the starter may approve lets the
    answer count.
    """
    if approval.verdict == "reject":
        raise PromotionRefused(approval.sentence)
    mine = {approval.by, *(f"role:{role}" for role in approval.roles)}
    if rules.approvers and not mine & set(rules.approvers):
        raise PromotionRefused(
            f"{approval.by} may not approve",
            found=f"the protocol names {', '.join(rules.approvers)}",
            do="Ask one of them.",
        )
    if not rules.starter_may_approve and (not started_by or started_by == approval.by):
        raise PromotionRefused(
            "whoever starts a run does not approve it",
            found=f"started by {started_by or 'nobody known'}, approved by {approval.by}",
            do="Ask another person whom the protocol names.",
        )
    letters = len(approval.reason.strip())
    if letters < rules.min_reason_letters:
        raise PromotionRefused(
            "the reason is too short",
            found=f"{letters} letters, limit {rules.min_reason_letters}",
            do="Say why the candidate may be promoted.",
        )
