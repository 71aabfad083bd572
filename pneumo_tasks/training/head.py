"""The head: trained on what the frozen backbone says, from cached features."""

import dataclasses
import io
import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pneumo_tasks import layout
from pneumo_tasks.dataset.balance import read_class_balance
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.backbones import BackboneWeights, resolve_weights
from pneumo_tasks.training.examples import Examples, read_examples
from pneumo_tasks.training.extractors import extractor_of
from pneumo_tasks.training.fitting import fit
from pneumo_tasks.training.hardware import Hardware, prepare_hardware
from pneumo_tasks.training.network import HEAD, PROBABILITY, Network, build_network
from pneumo_tasks.training.recipes import Recipe, Stage, find_recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workplace:
    """What both training tasks start from: the recipe, the graph, the rows and the class weights."""

    settings: Settings
    store: ObjectStore
    recipe: Recipe
    hardware: Hardware
    weights: BackboneWeights
    network: Network
    rows: pd.DataFrame
    class_weights: dict[str, float]

    def examples(self, split: str, cut: str) -> Examples:
        rows = self.rows[self.rows["split"] == split]
        extractor = extractor_of(self.recipe, self.weights, cut)
        return read_examples(self.settings, self.store, rows, extractor, self.class_weights)


def prepare(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> Workplace:
    """Build the graph of the settings' recipe and find the data of a run."""
    recipe = find_recipe(settings.recipe)
    hardware = prepare_hardware(settings)
    weights = resolve_weights(settings, store, recipe.backbone)
    return Workplace(
        settings,
        store,
        recipe,
        hardware,
        weights,
        build_network(recipe, weights, settings.seed),
        training_rows(store, snapshot_id),
        read_class_balance(store, run_id).weights,
    )


def shortened(stage: Stage, epochs: int | None) -> Stage:
    """The stage with as many epochs as the settings say, where they say."""
    return stage if epochs is None else dataclasses.replace(stage, epochs=epochs)


def train_head(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> dict[str, Any]:
    """Train the head of the settings' recipe and keep its best weights with the run.

    Writes runs/<run>/head/weights.npz, then history.json. The same snapshot, recipe and seed give
    the same weights on the same hardware.
    """
    started = time.monotonic()
    place = prepare(settings, store, run_id, snapshot_id)
    stage = shortened(place.recipe.head, settings.head_epochs)
    place.network.train_only(())
    model = place.network.part(stage.cut, PROBABILITY)
    train, validation = (place.examples(split, stage.cut) for split in ("train", "validation"))
    log.info("head: %d images to train on, %d to validate on, class weights %s", len(train), len(validation),
             place.class_weights)  # fmt: skip
    result = fit("head", model, stage, train, validation, settings.seed)
    store.put(layout.run(run_id, "head/weights.npz"), _packed(place.network))
    facts = {"trainable_parameters": place.network.trainable_parameters(), "recipe": place.recipe.name}
    store.put_json(layout.run(run_id, "head/history.json"), {**result.history(), **facts})
    best = result.epochs[result.best_epoch]
    return {
        "epochs": len(result.epochs) - 1,
        "best_epoch": result.best_epoch,
        "val_auc": best["val_auc"],
        "seconds": round(time.monotonic() - started, 3),
    }


def _packed(network: Network) -> bytes:
    file = io.BytesIO()
    arrays = {
        f"{name}.{number}": array
        for name in HEAD
        for number, array in enumerate(network.whole.get_layer(name).get_weights())
    }
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def load_head(store: ObjectStore, run_id: str, network: Network) -> dict[str, Any]:
    """Put the trained head of a run into ``network``; returns its history."""
    history: dict[str, Any] = store.read_json(layout.run(run_id, "head/history.json"))
    packed = store.read(layout.run(run_id, "head/weights.npz"))
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        for name in HEAD:
            layer = network.whole.get_layer(name)
            layer.set_weights([arrays[f"{name}.{number}"] for number in range(len(layer.weights))])
    return history
