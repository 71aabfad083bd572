"""The promotion: how an approved candidate becomes a version, and the version the champion.

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

from pneumo_tasks.errors import CorruptArtefact, PromotionRefused, StorageUnavailable
from pneumo_tasks.evaluation.revisions import Revision
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import (
    decide_promotion,
    promoted_before,
    record_approval,
    reject_candidate,
)
from pneumo_tasks.promotion.judgement import Decision, Judged, read_decision, read_judged
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import append_sealed, check_sealed, refuse_unsigned
from pneumo_tasks.promotion.protocol.governing import Governed, govern_run
from pneumo_tasks.promotion.registry.champion import Manifest
from pneumo_tasks.promotion.registry.pointer import Moved, Pointer, read_pointer, try_move_pointer
from pneumo_tasks.promotion.registry.remembering import remember
from pneumo_tasks.promotion.registry.versions import register_version
from pneumo_tasks.promotion.runs.promoted import Promotion
from pneumo_tasks.promotion.runs.waiting import check_answer
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256

log = logging.getLogger(__name__)

_ATTEMPTS = 10


def promote_model(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    approval: Approval | None = None,
    judged: Revision | None = None,
) -> Moved:
    """Make the approved candidate of ``run_id`` the champion.

    BadConfiguration where ``settings`` loosen the protocol. Where another protocol holds than the one
    that the candidate was judged by, it is judged once more.

    ``approval`` is a person's answer where one was asked; ``judged`` the decision as the task that made it
    passed it on, so that a document changed in the bucket meanwhile promotes nothing. Where the champion
    changed since the decision, the candidate is compared and judged once more. Raises PromotionRefused
    where the person or the rules say no (the decision says so then), or where settings require an approval
    and there is none; CorruptArtefact where documents or candidate are not those that were judged;
    UnsafeStore where the store ignores conditions. Running it again after a crash finishes what was begun;
    after success it changes nothing.
    """
    governed = govern_run(settings, store, run_id)
    settings = governed.settings
    found = _as_judged(settings, store, run_id, judged)
    entry = promoted_before(store, _approved(found))
    if entry is None:
        store.check_conditional_writes()
        refuse_unsigned(settings, store)
        _refuse_rejected(store, found)
        found = _with_consent(governed, store, found, approval)
        entry = _become_champion(governed, store, found, _registered(settings, store, found.decision))
    promotion = Promotion(
        run_id=run_id,
        version=str(entry.version),
        sha256=str(entry.sha256),
        seq=entry.seq,
        promoted_at=entry.at,
        by=entry.by,
    )
    store.put_json(layout.run(run_id, "promotion.json"), promotion.model_dump())
    remember(settings, store)
    log.info("champion: %s (ledger entry %d)", promotion.version, promotion.seq)
    return Moved.by(entry)


def _registered(settings: Settings, store: ObjectStore, decision: Decision) -> Manifest:
    manifest = register_version(settings, store, decision.run_id, decision.evaluation)
    if (manifest.version, manifest.sha256) != (decision.version, decision.sha256):
        raise CorruptArtefact(
            "the registered version is not the one that was approved",
            where=layout.model(manifest.version),
            found=f"{manifest.version}, approved {decision.version}",
            do="Clear evaluate_candidate and what follows it.",
        )
    return manifest


def _as_judged(settings: Settings, store: ObjectStore, run_id: str, judged: Revision | None) -> Judged:
    """The decision that was told. Without a word of the task that made it, the run's last one, whose
    signature is checked where a key is trusted. A refusal that came later than what was told holds.
    """
    if judged is None:
        found = read_judged(store, run_id)
        if found.decision.decision == "approved":
            refuse_unsigned(settings, store)
            key = found.document.key if found.document else layout.run(run_id, "decision.json")
            check_sealed(settings, store, key)  # a deleted revision must not pass for an earlier release
        return found
    decision = read_decision(store, run_id)
    told = Decision.model_validate_json(store.read_verified(judged.key, judged.sha256))
    if (told.run_id, told.version, told.sha256) != (decision.run_id, decision.version, decision.sha256):
        raise CorruptArtefact(
            "the decision is not about the candidate that was judged",
            where=layout.run(run_id, "decision.json"),
            found=f"version {decision.version}, judged {told.version}",
            do="Clear evaluate_candidate and what follows it.",
        )
    if told.decision == "approved" and decision.decision != "approved":
        return read_judged(store, run_id)
    return Judged(told, judged)


def _refuse_rejected(store: ObjectStore, judged: Judged) -> None:
    """PromotionRefused where the ledger says that this candidate was rejected, and nothing newer says yes."""
    decision, document = judged.decision, judged.document
    identity = ("rejected", decision.run_id, decision.version, decision.sha256)
    entries = ledger.read_ledger(store)
    said = [entry for entry in entries if (entry.kind, entry.run_id, entry.version, entry.sha256) == identity]
    if not said:
        return
    last = said[-1].decision
    if document is None or (last is not None and last.key >= document.key):
        raise PromotionRefused(
            "the ledger says that this candidate was rejected",
            where=layout.ledger_entry(said[-1].seq),
            found=said[-1].reason,
            do="Somebody changed the decision afterwards. Start another run.",
        )


def _become_champion(
    governed: Governed, store: ObjectStore, judged: Judged, manifest: Manifest
) -> ledger.LedgerEntry:
    """Append to the ledger and move the pointer; judge again where another version is live meanwhile.

    A conflict with a pointer that nobody moved is a passing fault: it is tried again. Where the champion
    changes again and again, or the pointer cannot be written, the error is retryable and the decision
    stays what it is: it never says what the ledger does not.
    """
    for attempt in range(_ATTEMPTS):
        decision = judged.decision
        pointer, etag = read_pointer(store)
        done = promoted_before(store, decision)
        if done is not None:
            return done
        active = governed.active
        # None: judged before there were protocols, and right so only where none was activated since.
        judged_by = decision.protocol or (active.digest if active.embedded else None)
        if (pointer.version if pointer else None, active.digest) != (decision.champion, judged_by):
            log.info("the champion or the protocol changed since the decision: judging again")
            judged = _judged_again(governed.settings, store, decision, manifest.snapshot_id)
        entry = append_sealed(governed.settings, store, _entry(store, judged, manifest, pointer))
        if try_move_pointer(store, entry, etag):
            return entry
        time.sleep(random.uniform(0.0, 0.1) * 2 ** min(attempt, 5))  # noqa: S311
    raise StorageUnavailable(
        "the champion pointer could not be moved",
        where=layout.CHAMPION,
        found=f"{_ATTEMPTS} attempts met a conflict",
        do="Try again when no other promotion runs.",
    )


def _judged_again(settings: Settings, store: ObjectStore, decision: Decision, snapshot_id: str) -> Judged:
    told = decide_promotion(
        settings, store, decision.run_id, snapshot_id, decision.approval, decision.evaluation
    )
    document = Revision.model_validate(told.document)
    again = Decision.model_validate_json(store.read_verified(document.key, document.sha256))
    judged = Judged(again, document)
    _approved(judged)
    return judged


def _with_consent(
    governed: Governed, store: ObjectStore, judged: Judged, approval: Approval | None
) -> Judged:
    """The decision with the person's answer in it.

    PromotionRefused where that is no, is missing, or is nothing that the protocol takes for a yes. An
    answer that an earlier decision holds is checked again: it is only as good as the bucket.
    """
    decision = judged.decision
    if approval is not None and approval.verdict == "reject":
        reject_candidate(governed.settings, store, decision.run_id, approval)
        raise PromotionRefused(approval.sentence, where=layout.run(decision.run_id))
    answer = approval or decision.approval
    if answer is not None:
        check_answer(governed, store, decision, answer)
    if approval is not None and approval != decision.approval:
        return record_approval(governed.settings, store, decision, approval)
    if governed.settings.require_approval and decision.approval is None:
        raise PromotionRefused(
            "a person has to approve this promotion, and nobody has", where=layout.run(decision.run_id)
        )
    return judged


def _entry(
    store: ObjectStore, judged: Judged, manifest: Manifest, pointer: Pointer | None
) -> ledger.NewEntry:
    decision, approval = judged.decision, judged.decision.approval
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
        decision=judged.document,
    )


def _approved(judged: Judged) -> Decision:
    decision = judged.decision
    if decision.dry_run:
        raise PromotionRefused("a dry run promotes nothing", where=layout.run(decision.run_id))
    if decision.decision == "approved":
        return decision
    raise PromotionRefused(
        f"the decision is {decision.decision}", where=layout.run(decision.run_id), found=decision.reason
    )
