"""Examples: cached features with labels and weights, streamed from memory-mapped files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.training.extractors import Extractor, open_array, read_index

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Rows of one split: ``labels`` 0 or 1, ``weights`` of the loss, features read when asked for.

    ``place[i]`` is (array, row) of example i. Only what ``features`` returns is in memory.
    """

    arrays: list[NDArray[np.float32]]
    place: Indices
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def features(self, chosen: Indices) -> NDArray[np.float32]:
        """The features of the chosen examples, float32, in the order of ``chosen``."""
        answer = np.empty((len(chosen), *self.arrays[0].shape[1:]), np.float32)
        place = self.place[chosen]
        for number in np.unique(place[:, 0]):
            mine = np.flatnonzero(place[:, 0] == number)
            answer[mine] = self.arrays[number][place[mine, 1]]
        return answer


def read_examples(
    settings: Settings,
    store: ObjectStore,
    rows: pd.DataFrame,
    extractor: Extractor,
    class_weights: dict[str, float],
) -> Examples:
    """Open the features of ``rows`` (of a snapshot), in their order.

    Raises ObjectMissing where a shard was not extracted or lacks an image, BadData on no rows.
    """
    if rows.empty:
        raise BadData("no rows to train or validate on", do="Upload more patients.")
    arrays, row_of, number_of = [], {}, {}
    for number, shard_id in enumerate(sorted(set(rows["shard"]))):
        index = read_index(store, extractor, shard_id)
        arrays.append(open_array(settings, store, extractor, shard_id, index))
        number_of[shard_id] = number
        row_of.update({(shard_id, image): row for row, image in enumerate(index.images)})
    try:
        place = [
            (number_of[shard], row_of[shard, image])
            for shard, image in zip(rows["shard"], rows["sha256"], strict=True)
        ]
    except KeyError as error:
        raise ObjectMissing(
            "an image without features", where=str(error), do="Clear extract_features and run it again."
        ) from None
    labels = (rows["label"] == LABELS[1]).to_numpy().astype(np.float32)
    weights = np.where(labels == 1, class_weights[LABELS[1]], class_weights[LABELS[0]])
    return Examples(arrays, np.array(place, np.int64), labels, weights.astype(np.float32))


def shuffled(examples: Examples, seed: int, epoch: int) -> Indices:
    """The order of one epoch: a function of seed and epoch alone, so a resumed run repeats it."""
    return np.random.default_rng([seed, epoch]).permutation(len(examples))


def stream(examples: Examples, order: Indices, batch: int) -> Any:
    """A tf.data.Dataset of (features, labels, weights) in ``order``; two batches ahead at most."""
    import tensorflow as tf

    def batches() -> Iterator[tuple[Any, Any, Any]]:
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            yield examples.features(chosen), examples.labels[chosen, None], examples.weights[chosen, None]

    one = tf.TensorSpec((None, 1), tf.float32)
    signature = (tf.TensorSpec((None, *examples.arrays[0].shape[1:]), tf.float32), one, one)
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(-(-len(order) // batch))).prefetch(2)


def score(model: Any, examples: Examples, batch: int = 128) -> NDArray[np.float32]:
    """The probability of every example, in order; inference mode, bounded memory."""
    parts = [
        model.predict_on_batch(examples.features(np.arange(start, min(start + batch, len(examples)))))
        for start in range(0, len(examples), batch)
    ]
    return np.concatenate(parts).reshape(-1).astype(np.float32)
