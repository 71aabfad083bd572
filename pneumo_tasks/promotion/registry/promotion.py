"""The registry: the protocol that makes a registered version the champion.

The steps of a promotion, each safe to repeat after a crash at any point:

1. the store proves that it honours conditional writes;
2. models/<version>/ is written with If-None-Match, the manifest last, and read back;
3. the ledger gets an entry that names the pointer it means to replace;
4. champion.json is replaced with If-Match;
5. runs/<run>/promotion.json says that it happened.
"""

import logging
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.decision import (
    Decision,
    decide_promotion,
    read_decision,
    record_approval,
    record_overtaken,
    reject_candidate,
)
from pneumo_tasks.promotion.registry import ledger
from pneumo_tasks.promotion.registry.champion import (
    Manifest,
    Pointer,
    champion_ref,
    read_champion,
    read_pointer,
    try_move_pointer,
)
from pneumo_tasks.promotion.registry.versions import download_model, list_versions, register_version
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

__all__ = [
    "champion_ref",
    "champion_summary",
    "download_model",
    "list_versions",
    "promote_model",
    "read_champion",
]

log = logging.getLogger(__name__)


class Promotion(BaseModel):
    """runs/<run>/promotion.json: this run's candidate became the champion."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    version: str
    sha256: str
    seq: int
    promoted_at: str
    by: str = "the gate"


def promote_model(
    settings: Settings, store: ObjectStore, run_id: str, approval: Approval | None = None
) -> dict[str, Any]:
    """Make the approved candidate of ``run_id`` the champion; returns {version, seq, sha256}.

    ``approval`` is a person's answer where one was asked. Where the champion changed since the
    decision, the candidate is compared and judged once more. Raises PromotionRefused where the
    person or the rules say no (decision.json says so then), where the champion changed yet again,
    or where settings require an approval and there is none; UnsafeStore where the store ignores
    conditions. Running it again after a crash finishes what was begun; after success it changes
    nothing.
    """
    decision = _approved(read_decision(store, run_id))
    store.check_conditional_writes()
    decision = _with_consent(settings, store, decision, approval)
    manifest = register_version(settings, store, run_id)
    entry = _become_champion(settings, store, decision, manifest)
    promotion = Promotion(
        run_id=run_id,
        version=manifest.version,
        sha256=manifest.sha256,
        seq=entry.seq,
        promoted_at=entry.at,
        by=entry.by,
    )
    store.put_json(layout.run(run_id, "promotion.json"), promotion.model_dump())
    log.info("champion: %s (ledger entry %d)", promotion.version, promotion.seq)
    return promotion.model_dump(include={"version", "seq", "sha256"})


def champion_summary(store: ObjectStore) -> dict[str, Any] | None:
    """What ``pneumo models champion --json`` prints."""
    champion = read_champion(store)
    if champion is None:
        return None
    body = store.read_verified(
        layout.model(champion.version, "evaluation.json"), champion.manifest.files["evaluation.json"]
    )
    test = Evaluation.model_validate_json(body).test
    figures = {"images", "recall", "precision", "specificity", "accuracy", "auc", "confusion"}
    return {
        "version": champion.version,
        "sha256": champion.sha256,
        "run_id": champion.run_id,
        "recipe": champion.manifest.recipe,
        "threshold": champion.threshold,
        "promoted_at": champion.promoted_at,
        "test": test.model_dump(include=figures),
    }


def _become_champion(
    settings: Settings, store: ObjectStore, decision: Decision, manifest: Manifest
) -> ledger.Entry:
    for _ in range(2):
        pointer, etag = read_pointer(store)
        done = _own_entry(store, pointer, decision.run_id)
        if done is not None:
            return done
        if (pointer.version if pointer else None) != decision.champion:
            log.info("the champion changed since the decision: judging again")
            decide_promotion(settings, store, decision.run_id, manifest.snapshot_id, decision.approval)
            decision = _approved(read_decision(store, decision.run_id))
        entry = ledger.append(store, _entry(decision, manifest, pointer))
        if try_move_pointer(store, entry, etag):
            return entry
    overtaken = PromotionRefused(
        "the champion changed twice while this candidate was judged",
        where=layout.CHAMPION,
        do="Run again: the candidate has to be compared with the new champion.",
    )
    record_overtaken(store, decision, str(overtaken))
    raise overtaken


def _with_consent(
    settings: Settings, store: ObjectStore, decision: Decision, approval: Approval | None
) -> Decision:
    """The decision with the person's answer in it; PromotionRefused where that is no, or is missing."""
    if approval is not None and approval.verdict == "reject":
        reject_candidate(store, decision.run_id, approval)
        raise PromotionRefused(approval.sentence, where=layout.run(decision.run_id))
    if approval is not None and approval != decision.approval:
        return record_approval(store, decision, approval)
    if settings.require_approval and decision.approval is None:
        raise PromotionRefused(
            "a person has to approve this promotion, and nobody has", where=layout.run(decision.run_id)
        )
    return decision


def _own_entry(store: ObjectStore, pointer: Pointer | None, run_id: str) -> ledger.Entry | None:
    """The entry by which this run already became the champion, even if it was replaced since."""
    if pointer is None:
        return None
    live = ledger.effective(ledger.read_ledger(store), pointer.seq)
    return next((entry for entry in reversed(live) if entry.run_id == run_id), None)


def _entry(decision: Decision, manifest: Manifest, pointer: Pointer | None) -> ledger.NewEntry:
    approval = decision.approval
    return ledger.NewEntry(
        kind="promoted",
        version=manifest.version,
        sha256=manifest.sha256,
        manifest_sha256=sha256(canonical_json(manifest.model_dump(mode="json"))),
        run_id=decision.run_id,
        replaces=pointer.seq if pointer else 0,
        attempt=decision.run_id,
        by=approval.by if approval else "the gate",
        reason=f"{decision.reason}; {approval.sentence}" if approval else decision.reason,
        approval=approval,
    )


def _approved(decision: Decision) -> Decision:
    if decision.dry_run:
        raise PromotionRefused("a dry run promotes nothing", where=layout.run(decision.run_id))
    if decision.decision == "approved":
        return decision
    raise PromotionRefused(
        f"the decision is {decision.decision}", where=layout.run(decision.run_id), found=decision.reason
    )
