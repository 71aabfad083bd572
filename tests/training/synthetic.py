"""Small feature files and networks, to train in seconds without a backbone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumo_tasks.settings import LABELS
from pneumo_tasks.training.features.examples import Examples, examples_of
from pneumo_tasks.training.features.mapped_arrays import MappedArray

EVEN = dict.fromkeys(LABELS, 1.0)


def drawn_examples(folder: Path, count: int, width: int = 24, files: int = 2, seed: int = 0) -> Examples:
    """Features of noise with a signal in the first two columns, over several files."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    values = rng.normal(size=(count, width)).astype(np.float32)
    values[:, :2] += labels[:, None]
    place = np.stack([np.arange(count) % files, np.arange(count) // files], axis=1)
    arrays = []
    for number in range(files):
        path = folder / f"{seed}-{files}-{number}.npy"
        np.save(path, values[place[:, 0] == number])
        arrays.append(MappedArray(path))
    rows = pd.DataFrame(
        {
            "label": [LABELS[label] for label in labels],
            "sha256": [f"{seed}-{n}" for n in range(count)],
            "variant": 0,
        }
    )
    return examples_of(rows, (tuple(arrays),), place[None], EVEN)


def small_model(width: int = 24, seed: int = 3) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    given = keras.Input((width,))
    hidden = keras.layers.Dense(8, activation="relu")(given)
    hidden = keras.layers.Dropout(0.3, seed=seed)(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    return keras.Model(given, keras.layers.Dense(1, activation="sigmoid")(hidden))
