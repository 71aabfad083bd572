"""The end of a candidate: it becomes the champion, or it is written down why not."""

import logging

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.evaluation.revisions import Revision
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.report.report import write_report
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


class Settled(BaseModel):
    """``seq`` is the ledger's entry of the promotion, None where the candidate was not promoted."""

    model_config = ConfigDict(frozen=True)

    version: str | None
    sha256: str | None
    seq: int | None
    reason: str


def settle(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    approval: Approval | None = None,
    judged: Revision | None = None,
) -> Settled:
    """Promote the approved candidate of ``run_id``; a refusal is a result, and so is a second look.

    The report is written again either way, with who answered and why. Raises PromotionRefused
    only where decision.json says nothing of it, so that no refusal passes for a decision.
    """
    try:
        promoted = promote_model(settings, store, run_id, approval, judged)
    except PromotionRefused:
        decision = read_decision(store, run_id)
        if decision.decision != "rejected":
            raise
        write_report(settings, store, run_id)
        return Settled(version=decision.version, sha256=decision.sha256, seq=None, reason=decision.reason)
    write_report(settings, store, run_id)
    return Settled(**promoted.model_dump(), reason=read_decision(store, run_id).reason)
