"""What a GPU makes of training: passes a second of the frozen layers, an epoch of block5, the precision.

Films are drawn on the spot and the weights are random, so it needs no data, no bucket and no network. Where
no GPU is seen it says so and ends well; `--cpu` measures the processor all the same.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from peak import gflop_per_image, measure_peak

from pneumo_tasks.settings import Settings
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.hardware import Hardware, prepare_hardware
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import FRAME
from pneumo_tasks.training.recipes import find_recipe

RECIPE, CUTS, TRAINED_FROM = "vgg16-block5", ("pooled", "block4_pool"), ("block4_pool",)
BATCH, TRAINING_BATCH = 128, 32
EPOCH, ROUNDS = 5000, 3


def main() -> None:
    options = _options()
    hardware = prepare_hardware(Settings.load())
    if hardware.device == "cpu" and not options.cpu:
        document: dict[str, Any] = {"gpu": None, "told": "no GPU is seen: nothing was measured"}
    else:
        document = {"gpu": _named(hardware), **measure(hardware, options.films)}
    if options.json:
        print(json.dumps(document, indent=1))
        return
    for name, value in document.items():
        print(f"{name.replace('_', ' '):32} {value}")


def measure(hardware: Hardware, films: int) -> dict[str, Any]:
    """Rates of the best of some rounds on ``films`` drawn films; a whole epoch is reckoned from its steps."""
    recipe = find_recipe(RECIPE)
    weights = BackboneWeights(recipe.backbone, "random", "0" * 64, True, None)
    body = FrozenParts(recipe, weights).body(SQUASH, hardware.precision, FRAME, CUTS)
    drawn = np.random.default_rng(7).integers(0, 256, (films, recipe.image_size, recipe.image_size, 1))
    batches = [drawn[start : start + BATCH].astype(np.float32) for start in range(0, films, BATCH)]
    block4 = [body.predict_on_batch(batch)[1].astype(np.float32) for batch in batches]
    seconds = _best(lambda: [body.predict_on_batch(batch) for batch in batches])
    peak, gflop = measure_peak(hardware.precision), gflop_per_image(body)
    network = build_network(recipe, weights, (SQUASH,), 7, hardware.training_precision)
    network.train_only(("block5_",))
    part = network.part(TRAINED_FROM, network.answer)
    part.compile(optimizer="adamw", loss="binary_crossentropy")
    given = np.concatenate(block4)
    labels = (np.arange(films) % 2).astype(np.float32)[:, None]
    steps = range(0, films, TRAINING_BATCH)

    def train() -> None:
        for at in steps:
            part.train_on_batch(given[at : at + TRAINING_BATCH], labels[at : at + TRAINING_BATCH])

    trained = films / _best(train)
    return {
        "precision": hardware.precision,
        "training_precision": hardware.training_precision,
        "passes_a_second": round(films / seconds, 1),
        "share_of_peak": round(films / seconds * gflop / peak, 3),
        "peak_gflops": round(peak),
        "block5_examples_a_second": round(trained, 1),
        "block5_epoch_of_5000_examples_seconds": round(EPOCH / trained, 1),
        "films": films,
    }


def _best(compute: Callable[[], Any]) -> float:
    compute()  # traces and warms up
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _named(hardware: Hardware) -> str:
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in devices]
    return ", ".join(names) or f"none: {hardware.processor}, {hardware.cores} cores"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=2048, help="drawn films")
    parser.add_argument("--cpu", action="store_true", help="measure the processor where there is no GPU")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
