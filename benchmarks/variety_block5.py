"""Block5 trained from the weights of ImageNet on kept outputs of block4, as the last layers alone."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.model.network import build_network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    epochs: int = 4
    rate: float = 5e-5
    batch: int = 32
    dropout: float = 0.5
    smoothing: float = 0.05
    decay: float = 0.01


class Block5:
    """block4's output to a logit: block5, its global mean, dropout, one linear layer."""

    def __init__(self, parts: FrozenParts, precision: str, seed: int) -> None:
        network = build_network(parts.recipe, parts.weights, (SQUASH,), seed, precision)
        network.train_only(("block5_",))
        self._trunk, self._seed = network.part(("block4_pool",), "block5_gap"), seed
        self._model: Any = None

    def fit(
        self,
        copies: list[NDArray[np.float16]],
        ill: NDArray[np.bool_],
        fitted: NDArray[np.bool_],
        schedule: Schedule,
    ) -> None:
        """Train on the films ``fitted``, each of ``copies`` an example of it."""
        import keras

        keras.utils.set_random_seed(self._seed)
        value = keras.layers.Dropout(schedule.dropout, seed=self._seed, dtype="float32")(self._trunk.output)
        self._model = keras.Model(self._trunk.input, keras.layers.Dense(1, dtype="float32")(value))
        optimizer = keras.optimizers.AdamW(schedule.rate, weight_decay=schedule.decay)
        loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=schedule.smoothing)
        self._model.compile(optimizer=optimizer, loss=loss)
        films = np.flatnonzero(fitted)
        examples = np.array([(copy, film) for copy in range(len(copies)) for film in films])
        steps = schedule.epochs * -(-len(examples) // schedule.batch)
        step = 0
        for epoch in range(schedule.epochs):
            started, losses = time.monotonic(), []
            order = np.random.default_rng([self._seed, epoch]).permutation(len(examples))
            for start in range(0, len(order), schedule.batch):
                chosen = examples[order[start : start + schedule.batch]]
                given = np.stack([copies[copy][film] for copy, film in chosen]).astype(np.float32)
                optimizer.learning_rate = schedule.rate * (1 + math.cos(math.pi * step / steps)) / 2
                labels = ill[chosen[:, 1], None].astype(np.float32)
                losses.append(float(self._model.train_on_batch(given, labels)))
                step += 1
            log.info("block5: epoch %d, %d examples, loss %.3f, %.0f s", epoch + 1, len(order),
                     np.mean(losses[-50:]), time.monotonic() - started)  # fmt: skip

    def logits(self, block4: NDArray[np.float16]) -> NDArray[np.float64]:
        parts = [
            self._model.predict_on_batch(block4[start : start + 128].astype(np.float32))
            for start in range(0, len(block4), 128)
        ]
        return np.concatenate(parts).reshape(-1).astype(np.float64)
