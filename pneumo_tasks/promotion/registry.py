"""The registry: immutable model versions, and the protocol that makes one of them the champion.

The steps of a promotion, each safe to repeat after a crash at any point:

1. the store proves that it honours conditional writes;
2. models/<version>/ is written with If-None-Match, the manifest last, and read back;
3. the ledger gets an entry that names the pointer it means to replace;
4. champion.json is replaced with If-Match;
5. runs/<run>/promotion.json says that it happened.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import layout
from pneumo_tasks.errors import ConditionFailed, ObjectMissing, PromotionRefused
from pneumo_tasks.evaluation.comparison import ChampionRef
from pneumo_tasks.evaluation.evaluation import read_evaluation
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.object_store import ObjectStore, canonical_json, check_digest, sha256
from pneumo_tasks.promotion import ledger
from pneumo_tasks.promotion.champion import (
    Manifest,
    Pointer,
    move_pointer,
    read_champion,
    read_manifest,
    read_pointer,
)
from pneumo_tasks.promotion.decision import Decision, read_decision
from pneumo_tasks.promotion.model_card import render_model_card
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.candidate import read_candidate

log = logging.getLogger(__name__)


class Promotion(BaseModel):
    """runs/<run>/promotion.json: this run's candidate became the champion."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    version: str
    sha256: str
    seq: int
    promoted_at: str


def promote_model(
    settings: Settings,  # noqa: ARG001  one signature for every stage
    store: ObjectStore,
    run_id: str,
) -> dict[str, Any]:
    """Make the approved candidate of ``run_id`` the champion; returns {version, seq, sha256}.

    Raises PromotionRefused where the decision is not ``approved`` or the champion is no longer the
    one that the candidate was compared with; UnsafeStore where the store ignores conditions.
    Running it again after a crash finishes what was begun; after success it changes nothing.
    """
    decision = read_decision(store, run_id)
    if decision.decision != "approved":
        raise PromotionRefused(
            f"the decision is {decision.decision}", where=layout.run(run_id), found=decision.reason
        )
    store.check_conditional_writes()
    manifest = register_version(store, run_id)
    entry = _become_champion(store, decision, manifest)
    promotion = Promotion(
        run_id=run_id,
        version=manifest.version,
        sha256=manifest.sha256,
        seq=entry.seq,
        promoted_at=entry.at,
    )
    store.put_json(layout.run(run_id, "promotion.json"), promotion.model_dump())
    log.info("champion: %s (ledger entry %d)", promotion.version, promotion.seq)
    return promotion.model_dump(include={"version", "seq", "sha256"})


def register_version(store: ObjectStore, run_id: str) -> Manifest:
    """Write models/<version>/ for the evaluated candidate, or find it written; every digest verified.

    The first writer of a file wins; the manifest records the digests of what is really stored.
    """
    evaluation, candidate = read_evaluation(store, run_id), read_candidate(store, run_id)
    artefact = store.read_verified(layout.run(run_id, "candidate.keras"), candidate.sha256)
    documents = {
        "model.keras": artefact,
        "candidate.json": canonical_json(candidate.model_dump(mode="json")),
        "evaluation.json": canonical_json(evaluation.model_dump(mode="json")),
        "model_card.md": render_model_card(candidate, evaluation).encode(),
    }
    files = {
        name: _write_once(store, layout.model(evaluation.version, name), body)
        for name, body in documents.items()
    }
    check_digest(files["model.keras"], candidate.sha256, layout.model(evaluation.version, "model.keras"))
    manifest = _manifest(evaluation, files)
    _write_once(
        store, layout.model(evaluation.version, "manifest.json"), canonical_json(manifest.model_dump())
    )
    return read_manifest(store, evaluation.version)


def champion_ref(store: ObjectStore) -> ChampionRef | None:
    """The champion that a candidate is to be compared with, and the original behind it."""
    champion = read_champion(store)
    if champion is None:
        return None
    first = read_manifest(store, original_version(store, champion.seq))
    return replace(champion, original=None if first.version == champion.version else reference(first))


def original_version(store: ObjectStore, seq: int) -> str:
    """The first version ever promoted on the way to pointer ``seq``; a reset does not forget it."""
    for entry in ledger.effective(ledger.read_ledger(store), seq):
        if entry.version is not None:
            return entry.version
    raise ObjectMissing("the ledger holds no promotion", where=layout.ledger_entry(seq))


def reference(manifest: Manifest) -> ChampionRef:
    return ChampionRef(manifest.version, manifest.sha256, manifest.threshold, manifest.run_id)


def download_model(store: ObjectStore, path: Path, version: str | None = None) -> Manifest:
    """Put the artefact of ``version`` (the champion's where None) at ``path``, its digest checked.

    ObjectMissing where there is no such version or no champion; CorruptArtefact where the stored
    bytes are not those that were registered.
    """
    if version is None:
        champion = read_champion(store)
        if champion is None:
            raise ObjectMissing("no model has been promoted yet", do="Name a version, or run a retraining.")
        manifest = champion.manifest
    else:
        manifest = read_manifest(store, version)
    store.download(layout.model(manifest.version, "model.keras"), path, manifest.sha256)
    return manifest


def list_versions(store: ObjectStore) -> list[Manifest]:
    """Every complete version, in the order of its name."""
    manifests = []
    for version in store.list_folders(layout.MODELS):
        try:
            manifests.append(read_manifest(store, version))
        except ObjectMissing:
            log.warning("version %s is not complete: it has no manifest", version)
    return manifests


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


def _become_champion(store: ObjectStore, decision: Decision, manifest: Manifest) -> ledger.Entry:
    pointer, etag = read_pointer(store)
    done = _own_entry(store, pointer, decision.run_id)
    if done is not None:
        return done
    if (pointer.version if pointer else None) != decision.champion:
        raise _moved(decision, pointer)
    entry = ledger.append(
        store,
        ledger.NewEntry(
            kind="promoted",
            version=manifest.version,
            sha256=manifest.sha256,
            manifest_sha256=sha256(canonical_json(manifest.model_dump())),
            run_id=decision.run_id,
            replaces=pointer.seq if pointer else 0,
            attempt=decision.run_id,
            by="the gate",
            reason=decision.reason,
        ),
    )
    try:
        move_pointer(store, entry, etag)
    except ConditionFailed:
        # Also the answer when our own write timed out, arrived, and was repeated: read before judging.
        pointer, _ = read_pointer(store)
        if pointer is None or pointer.seq != entry.seq:
            raise _moved(decision, pointer) from None
    return entry


def _own_entry(store: ObjectStore, pointer: Pointer | None, run_id: str) -> ledger.Entry | None:
    """The entry by which this run already became the champion, even if it was replaced since."""
    if pointer is None:
        return None
    live = ledger.effective(ledger.read_ledger(store), pointer.seq)
    return next((entry for entry in reversed(live) if entry.run_id == run_id), None)


def _moved(decision: Decision, pointer: Pointer | None) -> PromotionRefused:
    now = pointer.version if pointer else None
    return PromotionRefused(
        "the champion changed while this candidate was judged",
        where=layout.CHAMPION,
        found=f"judged against {decision.champion or 'no champion'}, now {now or 'no champion'}",
        do="Run again: the candidate has to be compared with the new champion.",
    )


def _manifest(evaluation: Evaluation, files: dict[str, str]) -> Manifest:
    return Manifest(
        version=evaluation.version,
        sha256=evaluation.sha256,
        run_id=evaluation.run_id,
        recipe=evaluation.recipe,
        snapshot_id=evaluation.snapshot_id,
        test_set_id=evaluation.test_set_id,
        threshold=evaluation.operating_point.threshold,
        operating_point=evaluation.operating_point,
        synthetic=evaluation.synthetic,
        random_backbone=evaluation.random_backbone,
        files=files,
    )


def _write_once(store: ObjectStore, key: str, body: bytes) -> str:
    """Write ``body`` unless the key exists, read back what is stored, return its sha256."""
    try:
        store.put_if_absent(key, body, "application/octet-stream")
    except ConditionFailed:
        log.info("%s is there already", key)
    return sha256(store.read(key))
