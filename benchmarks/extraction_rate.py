"""Images a second of the product's own extraction loop, in one precision."""

import time

import pandas as pd
from peak import gflop_per_image

from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.features.frozen_pass import FrozenPass
from pneumo_tasks.training.features.keys import pass_of
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.model.backbones import resolve_weights
from pneumo_tasks.training.recipes import chosen_recipe

FILMS, ROUNDS = 640, 2


def extraction_rate(
    settings: Settings, store: ObjectStore, snapshot_id: str, precision: str
) -> tuple[float, float]:
    """(images/s from the bucket's bytes to features in memory, GFLOP an image); the best of two rounds."""
    recipe = chosen_recipe(settings)
    weights = resolve_weights(settings, store, recipe.backbone)
    source = pass_of(recipe, weights, SQUASH, precision)
    frozen = FrozenPass.build(FrozenParts(recipe, weights), SQUASH, source, recipe.cuts)
    rows = training_rows(store, snapshot_id)
    rows = pd.concat([rows] * (FILMS // len(rows) + 1)).head(FILMS)
    whole_batches = rows.head(len(rows) // frozen.batch * frozen.batch)
    list(frozen.from_films(settings, store, whole_batches.head(frozen.batch)))
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _answer in frozen.from_films(settings, store, whole_batches):
            pass
        seconds.append(time.perf_counter() - started)
    return len(whole_batches) / min(seconds), gflop_per_image(frozen.body)
