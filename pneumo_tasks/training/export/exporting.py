"""The stage that exports: what was trained becomes one file, checked against the path it was trained on."""

import logging
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

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
from pneumo_tasks.training.export.held_out_scores import write_held_out_scores
from pneumo_tasks.training.export.parity import PrecisionTooLow, check_parity, sample_films
from pneumo_tasks.training.features.extract import extract_exactly
from pneumo_tasks.training.fitting.fine_tuning import fine_tune
from pneumo_tasks.training.fitting.head import train_head
from pneumo_tasks.training.fitting.strategies import strategy_of
from pneumo_tasks.training.fitting.weights import Histories, load_exported
from pneumo_tasks.training.fitting.workplace import Workplace, prepare
from pneumo_tasks.training.model.artefact import load_artefact, save_artefact
from pneumo_tasks.training.model.network import Network, build_network
from pneumo_tasks.training.model.onnx_export import export_onnx

log = logging.getLogger(__name__)


class Exported(BaseModel):
    """What travels on about the candidate; everything else is in candidate.json."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    precision: str
    parity: float | None
    seconds: float
    digests: dict[str, str] = {}


def export_candidate(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> Exported:
    """Write what the run trained as candidate.keras, and as candidate.onnx where the settings ask for it.

    Writes held_out_scores.parquet too, and, last, candidate.json. CorruptArtefact where the file, loaded
    afresh, gives other probabilities than the cached path. Where those come from a lower precision that
    nobody asked for, features, head and fine-tuning are made again in float32.
    """
    started = time.monotonic()
    try:
        candidate = _exported(settings, store, run_id, snapshot_id)
    except PrecisionTooLow as error:
        if settings.precision != "auto":
            raise
        log.warning("%s Now everything again in float32.", error)
        extract_exactly(settings, store, snapshot_id, "train", "validation")
        exact = settings.model_copy(update={"precision": "float32"})
        train_head(exact, store, run_id, snapshot_id)
        fine_tune(exact, store, run_id, snapshot_id)
        candidate = _exported(exact, store, run_id, snapshot_id)
    return Exported(
        **candidate.model_dump(include={"version", "sha256", "precision", "parity"}),
        seconds=round(time.monotonic() - started, 3),
    )


def _exported(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> Candidate:
    place, histories = load_exported(prepare(settings, store, run_id, snapshot_id))
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        path = Path(folder) / "candidate.keras"
        network = _saved(place, path)
        probabilities = place.validation_scores(network)
        loaded = load_artefact(path)
        difference = check_parity(place, loaded, probabilities)
        _write_scores(place, histories, probabilities)
        digest = store.upload(layout.run(run_id, "candidate.keras"), path)
        onnx = _onnx(place, loaded, path.with_suffix(".onnx"))
    candidate = Candidate(
        version=version_of(digest, snapshot_id, place.recipe.name),
        sha256=digest,
        onnx=onnx,
        weights_sha256=weights_digest(network.whole),
        parity=difference,
        **_described(place, histories),
    )
    store.put_json(layout.run(run_id, "candidate.json"), candidate.model_dump(mode="json"))
    return candidate


def _described(place: Workplace, histories: Histories) -> dict[str, Any]:
    """What candidate.json says of how the candidate was made."""
    return {
        "recipe": place.recipe.name,
        "snapshot_id": place.snapshot_id,
        "run_id": place.run_id,
        "backbone": BackboneFacts(
            name=place.weights.name,
            source=place.weights.source,
            sha256=place.weights.sha256,
            random=place.weights.random,
        ),
        "image_size": place.recipe.image_size,
        "frame": {view.name: view.sha256 for view in place.views},
        "augmentation": place.recipe.augmentation,
        "variants": place.recipe.variants,
        "class_weights": place.class_weights,
        "seed": place.settings.seed,
        "epochs": {"head": histories.head["best_epoch"], "fine_tune": histories.tuned["best_epoch"]},
        "trainable_parameters": {
            "head": histories.head["trainable_parameters"],
            "fine_tune": histories.tuned.get("trainable_parameters", 0),
        },
        "precision": place.source.precision,
        "hardware": place.hardware.facts(),
        "packages": {"tensorflow": _tensorflow(), "keras": version("keras"), "numpy": version("numpy")},
        "synthetic": bool(place.rows["synthetic"].any()),
        "created_at": journal.now(),
    }


def _saved(place: Workplace, path: Path) -> Network:
    """Save a float32 graph on one device that nothing was trained in, with the weights that were trained."""
    if place.hardware.training_precision == "float32" and len(place.hardware.devices) < 2:
        save_artefact(place.network.whole, path)
        return place.network
    trained = place.network.whole.get_weights()
    built = build_network(place.recipe, place.weights, place.views, place.settings.seed)
    fresh = built.answering(place.network.exports)
    fresh.whole.set_weights(trained)
    save_artefact(fresh.whole, path)
    return fresh


def _write_scores(place: Workplace, histories: Histories, probabilities: NDArray[np.float32]) -> None:
    strategy = strategy_of(place.recipe)
    table = strategy.held_out_scores(place, histories.tuned["exports"], probabilities)
    write_held_out_scores(place.store, place.run_id, table)


def _onnx(place: Workplace, loaded: Any, path: Path) -> OnnxFacts | None:
    """Write candidate.onnx from the loaded candidate.keras, where the settings ask for it."""
    if not place.settings.export_onnx:
        return None
    difference = export_onnx(loaded, path, sample_films(place))
    digest = place.store.upload(layout.run(place.run_id, "candidate.onnx"), path)
    return OnnxFacts(sha256=digest, bytes=path.stat().st_size, parity=difference)


def _tensorflow() -> str:
    import tensorflow as tf

    return str(tf.__version__)
