"""What training costs: the article's way against ours, on the same films, machine and run.

The article's way puts every film through the whole network in every epoch. A few of its steps are timed
and extrapolated to its epochs, unless ``--full`` trains it. Ours is the product: extraction,
head, fine-tuning and export, with the checks and checkpoints that belong to them; but for the ONNX
file, which the article's way does not make either.
"""

import argparse
import dataclasses
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import article_way
import pandas as pd
import peak
from extraction_rate import extraction_rate
from training_bucket import find_films, open_bucket, write_snapshot

from pneumo_tasks import pipeline
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.hardware import chosen_precision

RECIPE, SECOND = "article-vgg16-block5-conv3", "vgg16-block5"
NEW_SHARE = 0.05


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.WARNING if options.json else logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory(prefix="pneumo-benchmark-", dir=options.scratch) as folder:
        scratch = Path(folder)
        films = find_films(options.data, options.images + round(options.images * NEW_SHARE), scratch)
        weights = str(options.weights) if options.weights.is_file() else "random"
        with open_bucket(scratch, weights, recipe=RECIPE, export_onnx=False) as bucket:
            facts = measure(*bucket, films, scratch, weights, options)
    facts = {name: _rounded(value) for name, value in facts.items()}
    ratios = {name: facts.pop(name) for name in RATIOS}
    print(json.dumps(facts, indent=1))
    print(json.dumps(ratios))


RATIOS = (
    *("warm_head_ratio", "cold_ratio", "five_percent_ratio", "second_recipe_ratio"),
    *("bf16_ratio", "share_of_peak"),
)


def measure(
    settings: Settings,
    store: ObjectStore,
    films: pd.DataFrame,
    scratch: Path,
    weights: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """All figures of one run; the ratios are the article's seconds over ours."""
    import tensorflow as tf

    tf.constant(1.0)  # importing TensorFlow is neither way's cost
    films["batch_id"] = ["old"] * options.images + ["new"] * (len(films) - options.images)
    old = write_snapshot(settings, store, films[films["batch_id"] == "old"], "old", ["cold", "second"])
    every = write_snapshot(settings, store, films, "all", ["weekly"])
    article_way.link_folders(old, scratch / "folders")
    steps = article_way.measure_steps(scratch / "folders", weights)

    cold = _train(settings, store, "old", "cold", old)
    second = _train(settings.model_copy(update={"recipe": SECOND}), store, "old", "second", old)
    weekly = _train(settings, store, "all", "weekly", every)

    history = _history(store, "cold", "head")
    head_epoch = min(epoch["seconds"] for epoch in history[1:])
    article_head = _article_seconds(steps, old, {"head": 1})
    rates = _rates(settings, store)
    facts = {
        "images": len(old),
        "new_images": len(every) - len(old),
        "weights": "random" if weights == "random" else "ImageNet",
        "extrapolated": "the article's seconds: timed steps x steps of its epochs",
        "article_step_seconds": dataclasses.asdict(steps),
        "article_seconds": _article_seconds(steps, old, _epochs(store, "cold", "conv3")),
        "article_head_epoch_seconds": article_head,
        "our_head_epoch_seconds": head_epoch,
        "cold": cold,
        "second_recipe": second,
        "five_percent_new": weekly,
        "our_val_auc": _history(store, "cold", "fine_tune")[-1]["val_auc"],
        "warm_head_ratio": article_head / head_epoch,
        "cold_ratio": _article_seconds(steps, old, _epochs(store, "cold", "conv3")) / cold["seconds"],
        "second_recipe_ratio": _article_seconds(steps, old, _epochs(store, "second", "block5"))
        / second["seconds"],
        "five_percent_ratio": _article_seconds(steps, every, _epochs(store, "weekly", "conv3"))
        / weekly["seconds"],
        **rates,
    }
    if options.full:
        epochs = _epochs(store, "cold", "conv3")
        auc, seconds = article_way.train_whole(scratch / "folders", weights, epochs["head"], epochs["conv3"])
        facts |= {"article_val_auc": auc, "article_seconds_trained": seconds}
    return facts


def _train(
    settings: Settings, store: ObjectStore, snapshot: str, run_id: str, rows: pd.DataFrame
) -> dict[str, float]:
    """The stages of a run, one after the other, as they would be on one worker."""
    run = Run(settings, store, run_id, recorded=False)
    started = time.perf_counter()
    for shard in dict.fromkeys(rows["shard"]):
        pipeline.extract(run, snapshot, shard)
    extracted = time.perf_counter()
    pipeline.train(run, snapshot)
    trained = time.perf_counter()
    pipeline.tune(run, snapshot)
    pipeline.export(run, snapshot)
    ended = time.perf_counter()
    return {
        "seconds": ended - started,
        "features": extracted - started,
        "head": trained - extracted,
        "fine_tuning_and_export": ended - trained,
    }


def _article_seconds(steps: article_way.StepTimes, rows: pd.DataFrame, epochs: dict[str, int]) -> float:
    """Every epoch: all training steps of its kind, then the validation films through the network."""
    counts = {
        split: -(-int((rows["split"] == split).sum()) // article_way.BATCH) for split in set(rows["split"])
    }
    validation = counts["validation"] * steps.validation
    return sum(
        number * (counts["train"] * getattr(steps, kind) + validation) for kind, number in epochs.items()
    )


def _epochs(store: ObjectStore, run_id: str, kind: str) -> dict[str, int]:
    """As many epochs as ours really trained."""
    return {
        "head": len(_history(store, run_id, "head")) - 1,
        kind: len(_history(store, run_id, "fine_tune")) - 1,
    }


def _history(store: ObjectStore, run_id: str, stage: str) -> list[dict[str, float]]:
    history: list[dict[str, float]] = store.read_json(layout.run(run_id, f"{stage}/history.json"))["epochs"]
    return history


def _rates(settings: Settings, store: ObjectStore) -> dict[str, float]:
    """Images a second through ``extract_features``' own loop, fetching and decoding included."""
    best = chosen_precision(settings)
    rate, gflop = extraction_rate(settings, store, "old", best)
    exact = rate if best == "float32" else extraction_rate(settings, store, "old", "float32")[0]
    limit = peak.measure_peak(best)
    return {
        "images_per_second": rate,
        "images_per_second_float32": exact,
        "peak_gflops": limit,
        "bf16_ratio": rate / exact,
        "share_of_peak": rate * gflop / limit,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _options() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000, help="films of the first snapshot")
    parser.add_argument("--data", type=Path, default=shared / "chest_xray" / "train")
    parser.add_argument("--weights", type=Path, default=shared / "vgg16_imagenet_notop.weights.h5")
    parser.add_argument("--full", action="store_true", help="train the article's way too, hours on a CPU")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.add_argument("--scratch", type=Path, default=None, help="folder for bucket and cache")
    return parser.parse_args()


if __name__ == "__main__":
    main()
