"""The registry: the protocol that makes a registered version the champion.

The steps of a promotion, each safe to repeat after a crash at any point:

1. the store proves that it honours conditional writes;
2. models/<version>/ is written with If-None-Match, the manifest last, and read back;
3. the ledger gets an entry that names the pointer it means to replace;
4. champion.json is replaced with If-Match;
5. runs/<run>/promotion.json says that it happened.
"""

import logging
import random
import time
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import CorruptArtefact, PromotionRefused, StorageUnavailable
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.revisions import Revision, last_revision
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.decision import (
    Decision,
    decide_promotion,
    promoted_before,
    read_decision,
    record_approval,
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
from pneumo_tasks.storage.object_store import ObjectStore, sha256

__all__ = [
    "champion_ref",
    "champion_summary",
    "download_model",
    "list_versions",
    "promote_model",
    "read_champion",
]

log = logging.getLogger(__name__)

_ATTEMPTS = 10


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
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    approval: Approval | None = None,
    judged: Revision | None = None,
) -> dict[str, Any]:
    """Make the approved candidate of ``run_id`` the champion; returns {version, seq, sha256}.

    ``approval`` is a person's answer where one was asked; ``judged`` the decision as the task that made it
    passed it on, so that a document changed in the bucket meanwhile promotes nothing. Where the champion
    changed since the decision, the candidate is compared and judged once more. Raises PromotionRefused
    where the person or the rules say no (the decision says so then), or where settings require an approval
    and there is none; CorruptArtefact where documents or candidate are not those that were judged;
    UnsafeStore where the store ignores conditions. Running it again after a crash finishes what was begun;
    after success it changes nothing.
    """
    decision = _approved(_as_judged(store, run_id, judged))
    entry = promoted_before(store, decision)
    if entry is None:
        store.check_conditional_writes()
        decision = _with_consent(settings, store, decision, approval)
        manifest = register_version(settings, store, run_id)
        if (manifest.version, manifest.sha256) != (decision.version, decision.sha256):
            raise CorruptArtefact(
                "the registered version is not the one that was approved",
                where=layout.model(manifest.version),
                found=f"{manifest.version}, approved {decision.version}",
                do="Clear evaluate_candidate and what follows it.",
            )
        entry = _become_champion(settings, store, decision, manifest)
    promotion = Promotion(
        run_id=run_id,
        version=str(entry.version),
        sha256=str(entry.sha256),
        seq=entry.seq,
        promoted_at=entry.at,
        by=entry.by,
    )
    store.put_json(layout.run(run_id, "promotion.json"), promotion.model_dump())
    log.info("champion: %s (ledger entry %d)", promotion.version, promotion.seq)
    return promotion.model_dump(include={"version", "seq", "sha256"})


def _as_judged(store: ObjectStore, run_id: str, judged: Revision | None) -> Decision:
    """The decision that holds; with ``judged``, only about the candidate that this document approved."""
    decision = read_decision(store, run_id)
    if judged is None:
        return decision
    told = Decision.model_validate_json(store.read_verified(judged.key, judged.sha256))
    if (told.run_id, told.version, told.sha256) != (decision.run_id, decision.version, decision.sha256):
        raise CorruptArtefact(
            "the decision is not about the candidate that was judged",
            where=layout.run(run_id, "decision.json"),
            found=f"version {decision.version}, judged {told.version}",
            do="Clear evaluate_candidate and what follows it.",
        )
    return decision if told.decision == "approved" else told


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
        "seq": champion.seq,
        "test": test.model_dump(include=figures),
    }


def _become_champion(
    settings: Settings, store: ObjectStore, decision: Decision, manifest: Manifest
) -> ledger.Entry:
    """Append to the ledger and move the pointer; judge again where another version is live meanwhile.

    A conflict with a pointer that nobody moved is a passing fault: it is tried again. Where the champion
    changes again and again, or the pointer cannot be written, the error is retryable and the decision
    stays what it is: it never says what the ledger does not.
    """
    for attempt in range(_ATTEMPTS):
        pointer, etag = read_pointer(store)
        done = promoted_before(store, decision)
        if done is not None:
            return done
        if (pointer.version if pointer else None) != decision.champion:
            log.info("the champion changed since the decision: judging again")
            decide_promotion(settings, store, decision.run_id, manifest.snapshot_id, decision.approval)
            decision = _approved(read_decision(store, decision.run_id))
        entry = ledger.append(store, _entry(store, decision, manifest, pointer))
        if try_move_pointer(store, entry, etag):
            return entry
        time.sleep(random.uniform(0.0, 0.1) * 2 ** min(attempt, 5))  # noqa: S311
    raise StorageUnavailable(
        "the champion pointer could not be moved",
        where=layout.CHAMPION,
        found=f"{_ATTEMPTS} attempts met a conflict",
        do="Try again when no other promotion runs.",
    )


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


def _entry(
    store: ObjectStore, decision: Decision, manifest: Manifest, pointer: Pointer | None
) -> ledger.NewEntry:
    approval = decision.approval
    return ledger.NewEntry(
        kind="promoted",
        version=manifest.version,
        sha256=manifest.sha256,
        manifest_sha256=sha256(store.read(layout.model(manifest.version, "manifest.json"))),
        run_id=decision.run_id,
        replaces=pointer.seq if pointer else 0,
        attempt=decision.run_id,
        by=approval.by if approval else "the gate",
        reason=f"{decision.reason}; {approval.sentence}" if approval else decision.reason,
        approval=approval,
        decision=last_revision(store, decision.run_id, "decision"),
    )


def _approved(decision: Decision) -> Decision:
    if decision.dry_run:
        raise PromotionRefused("a dry run promotes nothing", where=layout.run(decision.run_id))
    if decision.decision == "approved":
        return decision
    raise PromotionRefused(
        f"the decision is {decision.decision}", where=layout.run(decision.run_id), found=decision.reason
    )
