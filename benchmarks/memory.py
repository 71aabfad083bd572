"""Peak memory and seconds an epoch of head training, on synthetic features of 5,000 and 100,000 films."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd

from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.training.features.examples import Examples, examples_of
from pneumo_tasks.training.features.mapped_arrays import MappedArray
from pneumo_tasks.training.fitting.epochs import Training, fit
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.hardware import prepare_hardware
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import Stage
from pneumo_tasks.training.recipes import RECIPES

SHARD, VALIDATION = 2048, 1000
SHAPE = (4, 4, 512)  # block5_pool at 150 pixels
EPOCHS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 100_000])
    parser.add_argument("--one", type=int, help="measure one size, in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    rows = []
    for size in options.sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        rows.append(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))
    first, last = rows[0], rows[-1]
    growth = (last["epoch_seconds"] / first["epoch_seconds"]) / (last["images"] / first["images"])
    print(json.dumps({"sizes": rows, "seconds_per_image_growth": round(growth, 3)}))


def measure(size: int) -> dict[str, Any]:
    """Files of features are written, then the article's head is trained on them as in any run."""
    settings = Settings.load({"precision": "float32"})
    prepare_hardware(settings)
    with tempfile.TemporaryDirectory(prefix="pneumo-memory-") as folder:
        train = _examples(Path(folder), size, seed=0)
        validation = _examples(Path(folder), VALIDATION, seed=1)
        recipe = RECIPES["article-vgg16-head"]
        weights = BackboneWeights("vgg16", "random", "0" * 64, True, None)
        network = build_network(recipe, weights, (SQUASH,), seed=7)
        model = network.part(("block5_pool",), "probability")
        stage = Stage(("block5_pool",), EPOCHS, 1e-4)
        started = time.perf_counter()
        result = fit(Training("head", model, stage, train, validation, 7))
        seconds = time.perf_counter() - started
    return {
        "images": size,
        "features_gib": round(size * int(np.prod(SHAPE)) * 4 / 2**30, 2),
        "epoch_seconds": round(min(epoch["seconds"] for epoch in result.epochs[1:]), 2),
        "seconds": round(seconds, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def _examples(folder: Path, count: int, seed: int) -> Examples:
    """Noise with a signal, in files of a shard's size, as extraction writes them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    arrays = []
    for start in range(0, count, SHARD):
        part = labels[start : start + SHARD]
        path = folder / f"{seed}-{start}.npy"
        values = rng.random((len(part), *SHAPE), np.float32) + 0.05 * part[:, None, None, None]
        np.save(path, values.astype(np.float32))
        arrays.append(MappedArray(path))
    rows = pd.DataFrame({"label": [LABELS[label] for label in labels], "variant": 0})
    rows["sha256"] = [f"{seed}-{number}" for number in range(count)]
    place = np.stack([np.arange(count) // SHARD, np.arange(count) % SHARD], axis=1)
    return examples_of(rows, (tuple(arrays),), place[None], dict.fromkeys(LABELS, 1.0))


if __name__ == "__main__":
    main()
