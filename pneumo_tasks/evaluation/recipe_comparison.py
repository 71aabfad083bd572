"""Recipes side by side: several trained on one snapshot, one table, chosen by validation."""

import io
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.balance import compute_class_balance
from pneumo_tasks.dataset.snapshots import snapshot_summary, test_rows, training_rows
from pneumo_tasks.evaluation.looks import count_looks, record_films, record_look
from pneumo_tasks.evaluation.metrics import Metrics, compute_metrics
from pneumo_tasks.evaluation.operating_point import choose_operating_point
from pneumo_tasks.evaluation.scoring import StoredModel, score_on_test_set
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import Candidate, read_candidate
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.fitting.fine_tuning import fine_tune_block5
from pneumo_tasks.training.fitting.head import train_head
from pneumo_tasks.training.recipes import find_recipe


class ComparedRecipe(BaseModel):
    """One line of the table. ``trainable_parameters`` are of the last stage that was trained.

    ``test`` is None unless the test set was opened.
    """

    model_config = ConfigDict(frozen=True)

    recipe: str
    run_id: str
    class_weights: str
    augmentation: str
    trainable_parameters: int
    epochs: dict[str, int]
    seconds: dict[str, float]
    validation: Metrics
    test: Metrics | None


class RecipeComparison(BaseModel):
    """comparisons/<id>.json; ``looks`` counts the candidates that this test set has judged so far."""

    model_config = ConfigDict(frozen=True)

    comparison_id: str
    snapshot_id: str
    test_set_id: str
    looks: int | None
    recipes: list[ComparedRecipe]


def compare_recipes(
    settings: Settings, store: ObjectStore, snapshot_id: str, names: list[str], open_test_set: bool = False
) -> RecipeComparison:
    """Train each recipe on the snapshot, with its features cached as in any run, and write the table.

    Validation figures are at the operating point that the settings choose on validation. With
    ``open_test_set`` each candidate is measured on the locked test set too, and each is a look.
    """
    for name in names:
        find_recipe(name)
    summary = snapshot_summary(store, snapshot_id)
    comparison_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    rows = [
        _train(settings.model_copy(update={"recipe": name}), store, snapshot_id, comparison_id)
        for name in names
    ]
    if open_test_set:
        rows = [_with_test(store, snapshot_id, summary.test_set_id, row) for row in rows]
    table = RecipeComparison(
        comparison_id=comparison_id,
        snapshot_id=snapshot_id,
        test_set_id=summary.test_set_id,
        looks=count_looks(store, summary.test_set_id) if open_test_set else None,
        recipes=rows,
    )
    store.put_json(layout.comparison(comparison_id), table.model_dump(mode="json"))
    return table


def _train(settings: Settings, store: ObjectStore, snapshot_id: str, comparison_id: str) -> ComparedRecipe:
    run_id = layout.compared_run(comparison_id, settings.recipe)
    compute_class_balance(settings, store, run_id, snapshot_id)
    clock = [time.monotonic()]
    for shard_id in dict.fromkeys(training_rows(store, snapshot_id)["shard"]):
        extract_features(settings, store, snapshot_id, shard_id)
    clock.append(time.monotonic())
    train_head(settings, store, run_id, snapshot_id)
    clock.append(time.monotonic())
    fine_tune_block5(settings, store, run_id, snapshot_id)
    clock.append(time.monotonic())
    candidate = read_candidate(store, run_id)
    seconds = dict(zip(("features", "head", "fine_tune"), np.diff(clock).round(2).tolist(), strict=True))
    return ComparedRecipe(
        recipe=settings.recipe,
        run_id=run_id,
        class_weights=settings.class_weights,
        augmentation=candidate.augmentation,
        trainable_parameters=_trained(candidate),
        epochs=candidate.epochs,
        seconds=seconds,
        validation=_validation(settings, store, run_id),
        test=None,
    )


def _trained(candidate: Candidate) -> int:
    return candidate.trainable_parameters["fine_tune"] or candidate.trainable_parameters["head"]


def _validation(settings: Settings, store: ObjectStore, run_id: str) -> Metrics:
    key = layout.run(run_id, "fine_tune/validation_scores.parquet")
    table = pd.read_parquet(io.BytesIO(store.read(key)))
    positive = (table["label"] == "PNEUMONIA").to_numpy(bool)
    point = choose_operating_point(settings, positive, table["probability"].to_numpy(np.float64))
    return point.validation


def _with_test(store: ObjectStore, snapshot_id: str, test_set_id: str, row: ComparedRecipe) -> ComparedRecipe:
    candidate = read_candidate(store, row.run_id)
    record_look(store, test_set_id, row.run_id, "candidate", candidate.sha256)
    rows = test_rows(store, snapshot_id)
    record_films(store, test_set_id, rows["sha256"])
    positive = (rows["label"] == "PNEUMONIA").to_numpy(bool)
    key = layout.run(row.run_id, "candidate.keras")
    with StoredModel(store, key, candidate.sha256) as stored:
        probability = score_on_test_set(stored, rows, test_set_id)
    test = compute_metrics(positive, probability, row.validation.threshold)
    return row.model_copy(update={"test": test})
