"""The workplace: what both training tasks start from."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.dataset.balance import read_class_balance
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.examples import Examples, mean_of, score
from pneumo_tasks.training.features.extract import extract_exactly
from pneumo_tasks.training.features.keys import needed_extractors
from pneumo_tasks.training.features.precision import settled_precision
from pneumo_tasks.training.features.source import FeatureSource
from pneumo_tasks.training.framing.frames import View
from pneumo_tasks.training.framing.views import resolve_views
from pneumo_tasks.training.hardware import Hardware, prepare_hardware
from pneumo_tasks.training.model.backbones import BackboneWeights, resolve_weights
from pneumo_tasks.training.model.network import Network, build_network
from pneumo_tasks.training.recipe import CrossFitting, Exports, Recipe, Stage
from pneumo_tasks.training.recipes import chosen_recipe


@dataclass(frozen=True)
class Workplace:
    """The recipe, the graph, the rows, the class weights, and the features of both splits."""

    settings: Settings
    store: ObjectStore
    run_id: str
    snapshot_id: str
    recipe: Recipe
    hardware: Hardware
    weights: BackboneWeights
    views: tuple[View, ...]
    network: Network
    rows: pd.DataFrame
    class_weights: dict[str, float]
    source: FeatureSource

    @property
    def precision(self) -> str:
        """What the features are in, and what training computes in."""
        return f"{self.source.precision}, {self.hardware.training_precision}"

    @cached_property
    def exact(self) -> FeatureSource:
        """The validation films in float32, made where they are missing."""
        extract_exactly(self.settings, self.store, self.snapshot_id, "validation")
        return dataclasses.replace(self.source, precision="float32", _open={})

    def examples(self, split: str, cuts: tuple[str, ...]) -> Examples:
        """The films of a split, in float32 where the head is not trained on them: epochs and threshold are
        chosen on those.
        """
        exact = self.source.precision != "float32" and split not in self.recipe.head.trains_on
        source = self.exact if exact else self.source
        return source.examples(self.rows, split, cuts, self.class_weights)

    def scores_exactly(self) -> bool:
        """Whether validation films are scored from float32 features."""
        return self.source.precision == "float32" or "validation" not in self.recipe.head.trains_on

    def every_example(self, cuts: tuple[str, ...]) -> Examples:
        """The films of both splits, with their drawn copies: what cross-fitting trains on."""
        return self.source.examples(self.rows.assign(split="train"), "train", cuts, self.class_weights)

    def answering(self, exports: Exports) -> "Workplace":
        """The same place with the network that ``exports`` names."""
        return dataclasses.replace(self, network=self.network.answering(exports))

    def validation_scores(self, network: Network) -> NDArray[np.float32]:
        """What ``network`` says about each validation film, from cached features.

        Several views answer as the file does.
        """
        cuts = self.recipe.cuts_of(network.exports)
        views = score(network.part(cuts, network.answer), self.examples("validation", cuts))
        if len(self.views) == 1:
            return views
        return mean_of(*views.reshape(len(self.views), -1)).astype(np.float32)

    def facts(self, stage: Stage | CrossFitting) -> dict[str, Any]:
        """What the stage's history says besides its epochs."""
        return {
            "recipe": self.recipe.name,
            "trainable_parameters": self.network.trainable_parameters(),
            "augmentation": self.recipe.augmentation,
            "variants": self.recipe.variants,
            "precision": {
                "features": self.source.precision,
                "training": self.hardware.training_precision,
                "relative_errors": self.source.errors(stage.cuts),
            },
        }


def prepare(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> Workplace:
    """Build the graph of the settings' recipe and find the data of a run."""
    recipe = chosen_recipe(settings)
    weights = resolve_weights(settings, store, recipe.backbone)
    views = resolve_views(settings, store, recipe, snapshot_id)
    hardware = _settled(prepare_hardware(settings), settings, store, recipe, weights, views)
    with hardware.scope():
        network = build_network(recipe, weights, views, settings.seed, hardware.training_precision)
    return Workplace(
        settings,
        store,
        run_id,
        snapshot_id,
        recipe,
        hardware,
        weights,
        views,
        network,
        training_rows(store, snapshot_id),
        read_class_balance(store, run_id).weights,
        FeatureSource(settings, store, recipe, weights, views, hardware.precision),
    )


def _settled(
    hardware: Hardware,
    settings: Settings,
    store: ObjectStore,
    recipe: Recipe,
    weights: BackboneWeights,
    views: tuple[View, ...],
) -> Hardware:
    """The hardware, computing in float32 where the features had to be."""
    extractors = needed_extractors(recipe, weights, views, hardware.precision)
    precision = settled_precision(settings, store, hardware.precision, extractors)
    return dataclasses.replace(hardware, precision=precision)
