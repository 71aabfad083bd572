"""Model versions: folders of the bucket that are written once and never change."""

import logging
from dataclasses import dataclass
from pathlib import Path

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.evaluation.evaluation import model_version
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.record import evaluated_candidate, read_recorded
from pneumo_tasks.evaluation.revisions import Revision
from pneumo_tasks.promotion.ledger.seals import check_sealed
from pneumo_tasks.promotion.ledger.signatures import SignatureState, check_signature, sign_stored
from pneumo_tasks.promotion.registry.champion import (
    Manifest,
    check_champion,
    read_champion,
    read_manifest,
    read_recorded_manifest,
)
from pneumo_tasks.promotion.registry.remembering import check_remembered, remember
from pneumo_tasks.promotion.texts.model_card import render_model_card
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, check_digest, sha256
from pneumo_tasks.training.export.candidate import Candidate

log = logging.getLogger(__name__)


def register_version(
    settings: Settings, store: ObjectStore, run_id: str, judged: Revision | None = None
) -> Manifest:
    """Write models/<version>/ for the evaluated candidate, or find it written; every digest verified.

    ``judged`` is the evaluation that the decision names. The first writer of a file wins; the manifest
    records the digests of what is really stored.
    """
    evaluation = read_recorded(store, run_id, judged).evaluation
    candidate, version = evaluated_candidate(store, evaluation), evaluation.version
    _check_candidate(evaluation, candidate)
    documents = {
        "model.keras": store.read_verified(layout.run(run_id, "candidate.keras"), candidate.sha256),
        "candidate.json": canonical_json(candidate.model_dump(mode="json")),
        "evaluation.json": canonical_json(evaluation.model_dump(mode="json")),
        "model_card.md": render_model_card(candidate, evaluation).encode(),
    }
    if candidate.onnx is not None:
        onnx = layout.run(run_id, "candidate.onnx")
        documents["model.onnx"] = store.read_verified(onnx, candidate.onnx.sha256)
    files = {name: _write_once(store, layout.model(version, name), body) for name, body in documents.items()}
    check_digest(files["model.keras"], candidate.sha256, layout.model(version, "model.keras"))
    manifest = canonical_json(_manifest(evaluation, files).model_dump(mode="json"))
    stored = store.put_once(layout.model(version, "manifest.json"), manifest)
    _check_files(store, read_manifest(store, version, sha256(stored)))
    sign_stored(settings, store, layout.model(version, "manifest.json"))  # whoever wrote it first
    return verify_version(settings, store, version)


def _check_candidate(evaluation: Evaluation, candidate: Candidate) -> None:
    """Raise CorruptArtefact, before anything is written, unless the run's candidate is the one evaluated."""
    evaluated = (evaluation.sha256, model_version(candidate, evaluation.operating_point))
    if evaluated != (candidate.sha256, evaluation.version):
        raise CorruptArtefact(
            "the run's candidate is not the one that was evaluated",
            where=layout.run(evaluation.run_id, "candidate.json"),
            found=f"sha256 {candidate.sha256}, evaluated {evaluation.sha256}",
            do="Training ran again: clear evaluate_candidate and what follows it.",
        )


def _check_files(store: ObjectStore, manifest: Manifest) -> None:
    for name, digest in manifest.files.items():
        store.read_verified(layout.model(manifest.version, name), digest)
    where = layout.model(manifest.version, "manifest.json")
    check_digest(manifest.files["model.keras"], manifest.sha256, where)


@dataclass(frozen=True)
class Download:
    """What was downloaded, and what its signature is worth."""

    manifest: Manifest
    signature: SignatureState


def verify_version(settings: Settings, store: ObjectStore, version: str) -> Manifest:
    """Read every file of a version; CorruptArtefact naming the first that is not what was registered."""
    manifest = read_recorded_manifest(store, version)
    _check_files(store, manifest)
    check_signature(settings, store, version)
    return manifest


def download_model(
    settings: Settings, store: ObjectStore, path: Path, version: str | None = None
) -> Download:
    """Put the artefact of ``version`` (the champion's where None) at ``path``, its digest checked.

    ObjectMissing where there is no such version or no champion; CorruptArtefact where the stored
    bytes are not those that were registered, or the signature is not what the settings ask for.
    """
    if version is None:
        champion = read_champion(store)
        if champion is None:
            raise ObjectMissing("no model has been promoted yet", do="Name a version, or run a retraining.")
        check_remembered(settings, store)
        manifest, signature = champion.manifest, check_champion(settings, store, champion)
        remember(settings, store)
    else:
        manifest = read_recorded_manifest(store, version)
        signature = check_sealed(settings, store, layout.model(version, "manifest.json"))
    if signature == "unsigned":
        log.warning(
            "version %s is not signed: its digest says what it is, not who registered it", manifest.version
        )
    store.download(layout.model(manifest.version, "model.keras"), path, manifest.sha256)
    return Download(manifest, signature)


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
    store.put_once(key, body, "application/octet-stream")
    return sha256(store.read(key))
