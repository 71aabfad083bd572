"""Fine-tuning: the last block at a small rate from cached features, then the whole graph as one file."""

import io
import logging
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks import journal, layout
from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.artefact import load_artefact, save_artefact, score_images
from pneumo_tasks.training.candidate import BackboneFacts, Candidate, version_of, weights_digest
from pneumo_tasks.training.examples import score
from pneumo_tasks.training.features import read_image
from pneumo_tasks.training.fitting import Fit, fit
from pneumo_tasks.training.head import Workplace, load_head, prepare, shortened
from pneumo_tasks.training.network import PROBABILITY, build_network

log = logging.getLogger(__name__)

PARITY_IMAGES = 16
PARITY_LIMIT = 1e-3  # largest difference in probability between the artefact and the cached path


def fine_tune_block5(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> dict[str, Any]:
    """Fine-tune what the recipe says, from the head's best weights, and export the candidate.

    Writes fine_tune/history.json, fine_tune/validation_scores.parquet, candidate.keras and, last,
    candidate.json. A recipe without fine-tuning exports the head as it is. CorruptArtefact where
    the file, loaded afresh, gives other probabilities than the cached path.
    """
    started = time.monotonic()
    place = prepare(settings, store, run_id, snapshot_id)
    head = load_head(store, run_id, place.network)
    result, parameters = _fine_tune(place)
    probabilities = _validation_scores(place)
    store.put_json(layout.run(run_id, "fine_tune/history.json"), result.history())
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        path = Path(folder) / "candidate.keras"
        weights_sha256 = _export(place, path)
        _check_parity(place, path, probabilities)
        _write_scores(place, run_id, probabilities)
        digest = store.upload(layout.run(run_id, "candidate.keras"), path)
    candidate = Candidate(
        version=version_of(digest, snapshot_id, place.recipe.name),
        sha256=digest,
        weights_sha256=weights_sha256,
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
        class_weights=place.class_weights,
        seed=settings.seed,
        epochs={"head": head["best_epoch"], "fine_tune": result.best_epoch},
        trainable_parameters={"head": head["trainable_parameters"], "fine_tune": parameters},
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
        "seconds": round(time.monotonic() - started, 3),
    }


def _fine_tune(place: Workplace) -> tuple[Fit, int]:
    if place.recipe.fine_tuning is None:
        return Fit([], 0), 0
    stage = shortened(place.recipe.fine_tuning, place.settings.fine_tune_epochs)
    place.network.train_only(stage.trainable)
    model = place.network.part(stage.cut, PROBABILITY)
    train, validation = (place.examples(split, stage.cut) for split in ("train", "validation"))
    log.info("fine-tuning: %d parameters, %d images", place.network.trainable_parameters(), len(train))
    result = fit("fine-tuning", model, stage, train, validation, place.settings.seed)
    return result, place.network.trainable_parameters()


def _validation_scores(place: Workplace) -> NDArray[np.float32]:
    cut = (place.recipe.fine_tuning or place.recipe.head).cut
    return score(place.network.part(cut, PROBABILITY), place.examples("validation", cut))


def _export(place: Workplace, path: Path) -> str:
    """Save a freshly built graph with the trained weights: nothing of the training clings to it."""
    fresh = build_network(place.recipe, place.weights, place.settings.seed)
    fresh.whole.set_weights(place.network.whole.get_weights())
    save_artefact(fresh.whole, path)
    return weights_digest(fresh.whole)


def _check_parity(place: Workplace, path: Path, probabilities: NDArray[np.float32]) -> None:
    rows = place.rows[place.rows["split"] == "validation"]
    chosen = np.linspace(0, len(rows) - 1, min(PARITY_IMAGES, len(rows))).astype(int)
    images = [
        read_image(place.settings, place.store, key, digest)
        for key, digest in rows[["key", "sha256"]].iloc[chosen].to_numpy()
    ]
    difference = float(np.abs(score_images(load_artefact(path), images) - probabilities[chosen]).max())
    log.info("the exported model differs from the cached path by %.1e at most", difference)
    if not difference <= PARITY_LIMIT:
        raise CorruptArtefact(
            "the exported model gives other probabilities than the cached features",
            found=f"difference {difference:.2e}, limit {PARITY_LIMIT:g}",
            do="Delete the features of this extractor and run again.",
        )


def _write_scores(place: Workplace, run_id: str, probabilities: NDArray[np.float32]) -> None:
    rows = place.rows.loc[place.rows["split"] == "validation", ["sha256", "patient", "label", "fold"]]
    file = io.BytesIO()
    pd.DataFrame(rows.assign(probability=probabilities)).to_parquet(file, index=False)
    place.store.put(layout.run(run_id, "fine_tune/validation_scores.parquet"), file.getvalue())


def _tensorflow() -> str:
    import tensorflow as tf

    return str(tf.__version__)
