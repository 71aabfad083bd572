"""Examples: cached features with labels and weights, streamed from memory-mapped files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from pneumo_tasks.errors import BadData
from pneumo_tasks.settings import LABELS
from pneumo_tasks.training.features.mapped_arrays import Indices, MappedArray

RELEASE_EVERY = 64  # batches after which the pages that were read are given back


@dataclass(frozen=True)
class Examples:
    """Rows of one split: ``labels`` 0 or 1, ``weights`` of the loss, features read when asked for.

    ``arrays[c]`` are the files of cut c and ``place[c, i]`` is (file, row) of example i there. Only
    what ``features`` returns is in memory. ``image`` is the sha256 of each example's film,
    ``variant`` the number of its drawn copy, 0 for the film itself.
    """

    arrays: tuple[tuple[MappedArray, ...], ...]
    place: Indices
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]
    image: NDArray[np.object_]
    variant: Indices

    def __len__(self) -> int:
        return len(self.labels)

    def features(self, chosen: Indices) -> tuple[NDArray[np.float32], ...]:
        """The features of the chosen examples at each cut, float32, in the order of ``chosen``."""
        return tuple(
            _gather(files, place[chosen]) for files, place in zip(self.arrays, self.place, strict=True)
        )

    def release(self) -> None:
        """Give the memory of the pages that were read back to the system."""
        for files in self.arrays:
            for file in files:
                file.release()


def examples_of(
    rows: pd.DataFrame,
    arrays: tuple[tuple[MappedArray, ...], ...],
    place: Indices,
    class_weights: dict[str, float],
) -> Examples:
    """Examples of ``rows`` (label, sha256, variant), whose features lie at ``place`` in ``arrays``.

    BadData where there are none.
    """
    if rows.empty:
        raise BadData("no rows to train or validate on", do="Upload more patients.")
    labels = (rows["label"] == LABELS[1]).to_numpy().astype(np.float32)
    weights = np.where(labels == 1, class_weights[LABELS[1]], class_weights[LABELS[0]])
    return Examples(
        arrays,
        place,
        labels,
        weights.astype(np.float32),
        rows["sha256"].to_numpy(object),
        rows["variant"].to_numpy(np.int64),
    )


def shuffled(examples: Examples, seed: int, epoch: int) -> Indices:
    """The order of one epoch: a function of seed and epoch alone, so a resumed run repeats it."""
    return np.random.default_rng([seed, epoch]).permutation(len(examples))


def drawn_from_films(examples: Examples, seed: int, epoch: int, a_film: tuple[int, int]) -> Indices:
    """The order of an epoch (1 is the first) that takes so many examples of each healthy and each ill film.

    The epochs go through a film's examples in an order of its own, and begin again at its end. A function of
    its arguments alone, like ``shuffled``.
    """
    mixed = np.random.default_rng(seed).permutation(len(examples))
    image = examples.image.astype(str)
    by_film = mixed[np.argsort(image[mixed], kind="stable")]
    _, first, count = np.unique(image[by_film], return_index=True, return_counts=True)
    wanted = np.where(examples.labels[by_film[first]] == 1, a_film[1], a_film[0])
    numbers = np.concatenate([np.arange(each) for each in wanted]) + (epoch - 1) * np.repeat(wanted, wanted)
    place = np.repeat(first, wanted) + numbers % np.repeat(count, wanted)
    order: Indices = by_film[place][np.random.default_rng([seed, epoch]).permutation(len(place))]
    return order


def stream(examples: Examples, order: Indices, batch: int) -> Any:
    """A tf.data.Dataset of (features, labels, weights) in ``order``; two batches ahead at most."""
    import tensorflow as tf

    def batches() -> Iterator[tuple[Any, Any, Any]]:
        for number, start in enumerate(range(0, len(order), batch)):
            chosen = order[start : start + batch]
            features = examples.features(chosen)
            given = features if len(features) > 1 else features[0]
            yield given, examples.labels[chosen, None], examples.weights[chosen, None]
            if number % RELEASE_EVERY == RELEASE_EVERY - 1:
                examples.release()

    one = tf.TensorSpec((None, 1), tf.float32)
    shapes = [tf.TensorSpec((None, *files[0].shape[1:]), tf.float32) for files in examples.arrays]
    signature = (tuple(shapes) if len(shapes) > 1 else shapes[0], one, one)
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(-(-len(order) // batch))).prefetch(2)


def score(model: Any, examples: Examples, batch: int = 128) -> NDArray[np.float32]:
    """The probability of every example, in order; inference mode, bounded memory."""
    parts = []
    for number, start in enumerate(range(0, len(examples), batch)):
        features = examples.features(np.arange(start, min(start + batch, len(examples))))
        answer = model.predict_on_batch(list(features) if len(features) > 1 else features[0])
        parts.append(answer[: len(features[0])])  # each mirrored device answers for the whole batch
        if number % RELEASE_EVERY == RELEASE_EVERY - 1:
            examples.release()
    examples.release()
    return np.concatenate(parts).reshape(-1).astype(np.float32)


def mean_of(*probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """The probability of the mean logit."""
    clipped = np.clip(np.stack(probabilities).astype(np.float64), 1e-7, 1 - 1e-7)
    answer: NDArray[np.float64] = expit(logit(clipped).mean(0))
    return answer


def _gather(files: tuple[MappedArray, ...], place: Indices) -> NDArray[np.float32]:
    answer = np.empty((len(place), *files[0].shape[1:]), np.float32)
    for number in np.unique(place[:, 0]):
        mine = np.flatnonzero(place[:, 0] == number)
        answer[mine] = files[number].read(place[mine, 1])
    return answer
