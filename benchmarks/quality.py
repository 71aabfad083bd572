"""How good the recipes are: recipe x seed, chosen by validation, and only when told on the test set.

Every recipe is trained by the product, on the same snapshot. A seed changes which patients are in
which fold, and where a recipe draws numbers, those. `--open-test-set` measures each model on the
locked test set, and each is a look that is counted; `--dishonest` adds the article's own protocol.

A bucket that is there already (PNEUMO_S3_ENDPOINT and so on, its batches validated) is used with its
features; else one is made, and the films of `--data` are handed in.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from dishonest import train_dishonestly
from training_bucket import open_bucket

from pneumo_tasks import pipeline
from pneumo_tasks.dataset.snapshots import SnapshotRef, test_rows, training_rows
from pneumo_tasks.dataset.splits import VALIDATION_FOLD
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.evaluation.compared_recipe import ComparedRecipe
from pneumo_tasks.evaluation.figures import bootstrap
from pneumo_tasks.evaluation.figures.intervals import intervals
from pneumo_tasks.evaluation.figures.metrics import compute_metrics
from pneumo_tasks.evaluation.looks import count_looks
from pneumo_tasks.evaluation.scoring import StoredModel, score_on_test_set
from pneumo_tasks.intake.records.register import draw
from pneumo_tasks.local.demo_data import batches_in, hand_in
from pneumo_tasks.recipe_comparison import compare_recipes
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.fitting.stage_choice import score_reframed_auc
from pneumo_tasks.training.fitting.strategies import strategy_of
from pneumo_tasks.training.fitting.workplace import prepare

RECIPES = ("vgg16-standard-frame", "article-vgg16-head", "article-vgg16-block5-conv3", "vgg16-block5")
SHOWN = ("auc", "accuracy", "recall", "precision", "specificity")
DISHONEST = "article-vgg16-block5-conv3"


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.WARNING if options.json else logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    with _bucket(options) as (settings, store):
        rows = [
            row
            for seed in range(options.first, options.first + options.seeds)
            for row in _seeded(settings, store, options, seed)
        ]
        looks = count_looks(store, rows[0]["test_set_id"])
    document = {"rows": rows, "means": _means(rows), "looks_at_the_test_set": looks}
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        _print(rows)


def _seeded(
    settings: Settings, store: ObjectStore, options: argparse.Namespace, seed: int
) -> Iterator[dict[str, Any]]:
    """One row for each recipe, with the folds and the numbers drawn from ``seed``."""
    seeded = settings.model_copy(update={"seed": settings.seed + seed})
    forced = seeded.model_copy(update={"force": True})
    snapshot = pipeline.assemble(Run(forced, store, "quality", recorded=False)).snapshot
    if snapshot is None:
        sys.exit("no image was accepted")
    if seed:
        snapshot = _with_other_folds(seeded, store, snapshot, f"seed {seed}")
    for name in options.recipes:
        table = compare_recipes(seeded, store, snapshot.snapshot_id, [name], options.open_test_set)
        chosen = seeded.model_copy(update={"recipe": name})
        yield _row(chosen, store, snapshot.snapshot_id, table.recipes[0], options)
    if options.dishonest and seed == 0:
        run_id = f"dishonest-{snapshot.snapshot_id}"
        balance = store.read_json(layout.run(table.recipes[0].run_id, "class_balance.json"))
        store.put_json(layout.run(run_id, "class_balance.json"), balance)
        given = seeded.model_copy(update={"recipe": DISHONEST})
        found = train_dishonestly(given, store, run_id, snapshot.snapshot_id)
        yield {"recipe": f"DISHONEST {DISHONEST}", "seed": seeded.seed,
               "test_set_id": snapshot.test_set_id, "dishonest": found}  # fmt: skip


def _with_other_folds(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef, salt: str
) -> SnapshotRef:
    """The same snapshot with its training patients in other folds; the register keeps its own."""
    rows = training_rows(store, snapshot.snapshot_id)
    rows["fold"] = [int(draw(patient, salt, "fold") * settings.folds) for patient in rows["patient"]]
    rows["split"] = rows["fold"].map(lambda fold: "validation" if fold == VALIDATION_FOLD else "train")
    other = sha256(f"{snapshot.snapshot_id} {salt} {settings.folds}".encode())[:16]
    summary = snapshot_summary(store, snapshot.snapshot_id).model_copy(
        update={"snapshot_id": other, "tables": {}}
    )
    store.put(layout.dataset(other, "training.parquet"), rows.to_parquet(index=False))
    test = store.read(layout.dataset(snapshot.snapshot_id, "test.parquet"))
    store.put(layout.dataset(other, "test.parquet"), test)
    store.put_json(layout.dataset(other, "summary.json"), summary.model_dump(mode="json"))
    return snapshot.model_copy(update={"snapshot_id": other})


def _row(
    settings: Settings,
    store: ObjectStore,
    snapshot_id: str,
    made: ComparedRecipe,
    options: argparse.Namespace,
) -> dict[str, Any]:
    summary = snapshot_summary(store, snapshot_id)
    fit = store.read_json(layout.run(made.run_id, "head/history.json")).get("cross_fitting")
    choice = store.read_json(layout.run(made.run_id, "fine_tune/history.json")).get("choice")
    row: dict[str, Any] = {
        "recipe": made.recipe,
        "seed": settings.seed,
        "test_set_id": summary.test_set_id,
        "seconds": made.seconds,
        "threshold": made.validation.threshold,
        "validation": {name: getattr(made.validation, name) for name in SHOWN},
        "validation_films": made.validation.images,
        "block_folds_auc": fit and fit["block_folds"]["auc"],
        "stages": choice,
    }
    if options.reframe:
        row["validation_reframed_auc"] = _reframed(settings, store, made, snapshot_id)
    if options.open_test_set:
        row |= _tested(settings, store, made, snapshot_id)
    return row


def _reframed(settings: Settings, store: ObjectStore, made: ComparedRecipe, snapshot_id: str) -> float:
    """AUC on reframed validation films, of a model that was not trained on their patients."""
    place = prepare(settings, store, made.run_id, snapshot_id)
    strategy_of(place.recipe).load_held_out(place)
    return score_reframed_auc(place)


def _tested(settings: Settings, store: ObjectStore, made: ComparedRecipe, snapshot_id: str) -> dict[str, Any]:
    """The test figures at the validation threshold with their intervals, and at .5; the scores are kept."""
    candidate, rows = read_candidate(store, made.run_id), test_rows(store, snapshot_id)
    ill = (rows["label"] == "PNEUMONIA").to_numpy(bool)
    with StoredModel(store, layout.run(made.run_id, "candidate.keras"), candidate.sha256) as stored:
        probability = score_on_test_set(settings, stored, rows)
    threshold = made.validation.threshold
    found = compute_metrics(ill, probability, threshold)
    drawn = bootstrap.resample(
        rows["patient"], ill, probability, threshold, settings.resamples, settings.seed
    )
    ranges = intervals(found, drawn.replicates, drawn.worst)
    half = compute_metrics(ill, probability, 0.5)
    return {
        "test": {name: getattr(found, name) for name in SHOWN},
        "test_intervals": {
            name: ranges[name] and [ranges[name].low, ranges[name].high]
            for name in SHOWN  # type: ignore[union-attr]
        },
        "test_at_half": {name: getattr(half, name) for name in SHOWN},
    }


def _means(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over the seeds, recipe by recipe."""
    means: dict[str, dict[str, Any]] = {}
    for recipe in dict.fromkeys(row["recipe"] for row in rows if "dishonest" not in row):
        mine = [row for row in rows if row["recipe"] == recipe]
        means[recipe] = {
            part: {
                name: [float(np.mean(values)), float(np.std(values))]
                for name in SHOWN
                if (values := [row[part][name] for row in mine])
            }
            for part in ("validation", "test", "test_at_half")
            if part in mine[0]
        }
    return means


def _hand_in(settings: Settings, store: ObjectStore, data: Path) -> None:
    for handover in batches_in(data):
        hand_in(settings, store, handover, lambda *_: None)
    run = Run(settings, store, "quality", recorded=False)
    for batch_id in pipeline.discover(run, {}, "benchmark").batches:
        pipeline.validate(run, batch_id)


@contextmanager
def _bucket(options: argparse.Namespace) -> Iterator[tuple[Settings, ObjectStore]]:
    if os.environ.get("PNEUMO_S3_ENDPOINT"):
        settings = Settings.load({"export_onnx": False})
        yield settings, ObjectStore.connect(settings)
        return
    weights = str(options.weights) if options.weights.is_file() else "random"
    with (
        tempfile.TemporaryDirectory(prefix="pneumo-benchmark-", dir=options.scratch) as folder,
        open_bucket(Path(folder), weights, export_onnx=False) as opened,
    ):
        _hand_in(*opened, options.data)
        yield opened


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if "dishonest" in row:
            best = row["dishonest"]["best"]["metrics"]
            print(f"{row['recipe']:34} seed {row['seed']}  {_figures(best)}")
            continue
        print(f"{row['recipe']:34} seed {row['seed']}  validation {_figures(row['validation'])}")
        for part in ("test", "test_at_half"):
            if part in row:
                print(f"{'':34} {part:14} {_figures(row[part])}")


def _figures(found: dict[str, float]) -> str:
    return "  ".join(f"{name} {found[name]:.4f}" for name in SHOWN)


def _options() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="number of the first seed")
    parser.add_argument("--data", type=Path, default=shared / "chest_xray")
    parser.add_argument("--weights", type=Path, default=shared / "vgg16_imagenet_notop.weights.h5")
    parser.add_argument("--reframe", action="store_true", help="also ask about reframed validation films")
    parser.add_argument("--open-test-set", action="store_true", help="each row is then a look that counts")
    parser.add_argument("--dishonest", action="store_true", help="also the article's protocol, once")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.add_argument("--scratch", type=Path, default=None, help="folder for bucket and cache")
    return parser.parse_args()


if __name__ == "__main__":
    main()
