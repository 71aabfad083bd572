"""The feature source: opens what was extracted for the rows of a snapshot, all in one precision."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.augmentation import rows_with_variants
from pneumo_tasks.training.features.examples import Examples, examples_of
from pneumo_tasks.training.features.keys import Extractor, pass_of
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.mapped_arrays import MappedArray
from pneumo_tasks.training.features.precision import read_error, refuse_features
from pneumo_tasks.training.features.shards import Shard, open_shard
from pneumo_tasks.training.framing.frames import View
from pneumo_tasks.training.hardware import PRECISIONS
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass
class FeatureSource:
    """The features of one recipe; a shard is fetched and checked once, however often it is asked for.

    ``precision`` is the one preferred, and after the first examples the one that was found.
    """

    settings: Settings
    store: ObjectStore
    recipe: Recipe
    weights: BackboneWeights
    views: tuple[View, ...]
    precision: str
    _open: dict[tuple[str, str], Shard] = field(default_factory=dict)

    def examples(
        self, training: pd.DataFrame, split: str, cuts: tuple[str, ...], class_weights: dict[str, float]
    ) -> Examples:
        """The films of one split of a snapshot's training rows, for 'train' with their drawn copies.

        With several views each film is an example of each. Raises ObjectMissing where features were
        not extracted, BadData where the split has no rows.
        """
        rows = self._copies(training, split)
        if rows.empty:
            raise BadData(f"no rows in the {split} split", do="Upload more patients.")
        for precision in (self.precision, *(p for p in PRECISIONS if p != self.precision)):
            try:
                answer = self._read(rows, cuts, precision, class_weights)
            except ObjectMissing as error:
                log.debug("features in %s: %s", precision, error)
                continue
            if precision != self.precision:
                log.warning("features in %s are not there, those in %s are", self.precision, precision)
            self.precision = precision
            return answer
        raise ObjectMissing(
            "features that were not extracted, or not all in one precision",
            where=f"{', '.join(cuts)} of {self.recipe.name}",
            do="Clear extract_features and run it again; where workers differ, set PNEUMO_PRECISION.",
        )

    def errors(self, cuts: tuple[str, ...]) -> dict[str, float | None]:
        """The relative error of the features at each cut against float32, as it was measured."""
        return {cut: read_error(self.store, self._extractor(cut, 0, 0, self.precision)) for cut in cuts}

    def refuse(self, cuts: tuple[str, ...], difference: float) -> None:
        """Note that what was trained on these features is too far from its file."""
        if self.precision != "float32":
            for view in range(len(self.views)):
                for cut in cuts:
                    refuse_features(self.store, self._extractor(cut, view, 0, self.precision), difference)

    def _copies(self, training: pd.DataFrame, split: str) -> pd.DataFrame:
        """One row an example: columns of the snapshot, ``view`` and ``variant``."""
        rows = training[training["split"] == split]
        varied = training[
            (training["split"] == split) & rows_with_variants(training, self.recipe.augmentation)
        ]
        parts = []
        for view in range(len(self.views)):
            parts.append(rows.assign(view=view, variant=0))
            if self.views[view].varied:
                parts += [varied.assign(view=view, variant=v) for v in range(1, self.recipe.variants + 1)]
        return pd.concat(parts, ignore_index=True)

    def _extractor(self, cut: str, view: int, variant: int, precision: str) -> Extractor:
        return pass_of(self.recipe, self.weights, self.views[view], precision, variant).output(cut)

    def _read(
        self, rows: pd.DataFrame, cuts: tuple[str, ...], precision: str, class_weights: dict[str, float]
    ) -> Examples:
        arrays: list[tuple[MappedArray, ...]] = []
        place = np.zeros((len(cuts), len(rows), 2), np.int64)
        indices: dict[Any, Any] = rows.groupby(["view", "variant", "shard"], sort=True).indices
        groups = list(indices.items())
        for c, cut in enumerate(cuts):
            files = []
            for number, ((view, variant, shard_id), positions) in enumerate(groups):
                shard = self._shard(self._extractor(cut, view, variant, precision), shard_id)
                images = list(rows["sha256"].iloc[positions])
                place[c, positions, 0], place[c, positions, 1] = number, _rows(shard, images)
                files.append(shard.array)
            arrays.append(tuple(files))
        return examples_of(rows, tuple(arrays), place, class_weights)

    def _shard(self, extractor: Extractor, shard_id: str) -> Shard:
        key = (extractor.id, shard_id)
        if key not in self._open:
            cache = LocalCache(self.settings)
            self._open[key] = open_shard(self.store, cache, extractor, shard_id)
        return self._open[key]


def _rows(shard: Shard, images: list[str]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    try:
        return shard.rows(images)
    except KeyError as error:
        raise ObjectMissing("an image without features", where=str(error)) from None
