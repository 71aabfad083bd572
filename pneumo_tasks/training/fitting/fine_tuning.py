"""Fine-tuning: the last block at a small rate from cached features, then the whole graph as one file."""

import logging
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks import journal
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import (
    BackboneFacts,
    Candidate,
    OnnxFacts,
    version_of,
    weights_digest,
)
from pneumo_tasks.training.export.parity import PrecisionTooLow, check_parity, sample_films
from pneumo_tasks.training.features.extract import extract_exactly
from pneumo_tasks.training.fitting.cross_fitted_head import load_held_out, read_out_of_fold
from pneumo_tasks.training.fitting.epochs import Fit, fit_stage
from pneumo_tasks.training.fitting.head import load_head, train_head
from pneumo_tasks.training.fitting.stage_choice import choose_stage, score_reframed
from pneumo_tasks.training.fitting.workplace import Workplace, prepare
from pneumo_tasks.training.model.artefact import save_artefact
from pneumo_tasks.training.model.network import Network, build_network
from pneumo_tasks.training.model.onnx_export import export_onnx
from pneumo_tasks.training.recipes import Stage

log = logging.getLogger(__name__)


def fine_tune_block5(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> dict[str, Any]:
    """Fine-tune what the recipe says, from the head's best weights, and export the candidate.

    Writes fine_tune/history.json, fine_tune/validation_scores.parquet, candidate.keras and, last,
    candidate.json. A recipe without fine-tuning exports the head as it is. CorruptArtefact where
    the file, loaded afresh, gives other probabilities than the cached path. Where those come from a
    lower precision that nobody asked for, features, head and fine-tuning are made again in float32.
    """
    started = time.monotonic()
    try:
        facts = _candidate(settings, store, run_id, snapshot_id)
    except PrecisionTooLow as error:
        if settings.precision != "auto":
            raise
        log.warning("%s Now everything again in float32.", error)
        extract_exactly(settings, store, snapshot_id, "train", "validation")
        exact = settings.model_copy(update={"precision": "float32"})
        train_head(exact, store, run_id, snapshot_id)
        facts = _candidate(exact, store, run_id, snapshot_id)
    return facts | {"seconds": round(time.monotonic() - started, 3)}


def _candidate(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> dict[str, Any]:
    place = prepare(settings, store, run_id, snapshot_id)
    head = load_head(place)
    result, facts = _fine_tune(place)
    store.put_json(layout.run(run_id, "fine_tune/history.json"), {**result.history(), **facts})
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        path = Path(folder) / "candidate.keras"
        exported = _export(place, path)
        probabilities = place.validation_scores(exported, place.recipe.stages[-1])
        difference = check_parity(place, path, probabilities)
        _write_scores(place, probabilities, facts)
        digest = store.upload(layout.run(run_id, "candidate.keras"), path)
        onnx = _export_onnx(place, path)
    candidate = Candidate(
        version=version_of(digest, snapshot_id, place.recipe.name),
        sha256=digest,
        onnx=onnx,
        weights_sha256=weights_digest(exported.whole),
        recipe=place.recipe.name,
        snapshot_id=snapshot_id,
        run_id=run_id,
        backbone=BackboneFacts(
            name=place.weights.name,
            source=place.weights.source,
            sha256=place.weights.sha256,
            random=place.weights.random,
        ),
        image_size=place.recipe.image_size,
        frame={view.name: view.sha256 for view in place.views},
        augmentation=place.recipe.augmentation,
        variants=place.recipe.variants,
        class_weights=place.class_weights,
        seed=settings.seed,
        epochs={"head": head["best_epoch"], "fine_tune": result.best_epoch},
        trainable_parameters={
            "head": head["trainable_parameters"],
            "fine_tune": facts.get("trainable_parameters", 0),
        },
        precision=place.source.precision,
        parity=difference,
        hardware=place.hardware.facts(),
        packages={"tensorflow": _tensorflow(), "keras": version("keras"), "numpy": version("numpy")},
        synthetic=bool(place.rows["synthetic"].any()),
        created_at=journal.now(),
    )
    store.put_json(layout.run(run_id, "candidate.json"), candidate.model_dump(mode="json"))
    return {
        "version": candidate.version,
        "sha256": digest,
        "epochs": len(result.epochs) - 1,
        "best_epoch": result.best_epoch,
        "val_auc": result.epochs[result.best_epoch]["val_auc"] if result.epochs else None,
    }


def _fine_tune(place: Workplace) -> tuple[Fit, dict[str, Any]]:
    """Train the second stage; the network then holds what is exported."""
    stage = place.recipe.fine_tuning
    if stage is None:
        return Fit([], 0), {}
    if place.recipe.cross_fitted:
        return _fine_tune_or_not(place, stage)
    return fit_stage(place, "fine_tune", stage), place.facts(stage)


def _fine_tune_or_not(place: Workplace, stage: Stage) -> tuple[Fit, dict[str, Any]]:
    """Fine-tune from the head that validation was held out of; keep it only where it is better."""
    mean = place.network.whole.get_weights()
    load_held_out(place)
    before = score_reframed(place)
    result = fit_stage(place, "fine_tune", stage)
    facts = place.facts(stage)
    validation = place.rows.loc[place.rows["split"] == "validation", "sha256"]
    held_out = read_out_of_fold(place.store, place.run_id).set_index("sha256")["probability"]
    choice = choose_stage(
        place,
        held_out.loc[validation].to_numpy(np.float64),
        place.validation_scores(place.network, stage).astype(np.float64),
        before,
        score_reframed(place),
    )
    log.info("stages: %s", choice)
    if choice.exported == "head":
        place.network.whole.set_weights(mean)
    return result, facts | {"choice": choice.model_dump(mode="json")}


def _export(place: Workplace, path: Path) -> Network:
    """Save a freshly built float32 graph with the trained weights: nothing of the training clings to it."""
    trained = place.network.whole.get_weights()
    fresh = build_network(place.recipe, place.weights, place.views, place.settings.seed)
    fresh.whole.set_weights(trained)
    save_artefact(fresh.whole, path)
    return fresh


def _export_onnx(place: Workplace, path: Path) -> OnnxFacts | None:
    """Write candidate.onnx beside candidate.keras, where the settings ask for it."""
    if not place.settings.export_onnx:
        return None
    onnx = path.with_suffix(".onnx")
    difference = export_onnx(path, onnx, sample_films(place))
    digest = place.store.upload(layout.run(place.run_id, "candidate.onnx"), onnx)
    return OnnxFacts(sha256=digest, bytes=onnx.stat().st_size, parity=difference)


def _write_scores(place: Workplace, probabilities: NDArray[np.float32], facts: dict[str, Any]) -> None:
    """The scores that threshold and calibration are chosen on: none is of a film that was trained on."""
    exported = facts.get("choice", {}).get("exported", "head")
    if place.recipe.cross_fitted and exported == "head":
        table = read_out_of_fold(place.store, place.run_id)
    else:
        rows = place.rows.loc[place.rows["split"] == "validation", ["sha256", "patient", "label", "fold"]]
        table = rows.assign(probability=probabilities)
    key = layout.run(place.run_id, "fine_tune/validation_scores.parquet")
    place.store.put(key, table.to_parquet(index=False))


def _tensorflow() -> str:
    import tensorflow as tf

    return str(tf.__version__)
