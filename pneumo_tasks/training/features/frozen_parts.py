"""The parts that passes through the frozen network share: each is built and traced once in a task."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.training.framing.frames import SQUASH, View
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.network import Network, build_network
from pneumo_tasks.training.recipe import Recipe

Framer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class FrozenParts:
    """How films of a view are framed, and the frozen network after the frame: one for all views."""

    recipe: Recipe
    weights: BackboneWeights
    _framers: dict[str, Framer] = field(default_factory=dict)
    _networks: dict[str, Network] = field(default_factory=dict)
    _bodies: dict[tuple[str, str, tuple[str, ...]], Any] = field(default_factory=dict)

    def framer(self, view: View) -> Framer:
        """uint8 (N, H, W, 1) to float32 (N, side, side, 1)."""
        if view.sha256 not in self._framers:
            self._framers[view.sha256] = _framer(view, view.side_of(self.recipe))
        return self._framers[view.sha256]

    def body(self, view: View, precision: str, start: str, cuts: tuple[str, ...]) -> Any:
        """The model from the tensor ``start`` to ``cuts``."""
        key = (f"{precision}, {view.side_of(self.recipe)}", start, cuts)
        if key not in self._bodies:
            self._bodies[key] = self._network(view, precision).part((start,), *cuts)
        return self._bodies[key]

    def _network(self, view: View, precision: str) -> Network:
        key = f"{precision}, {view.side_of(self.recipe)}"
        if key not in self._networks:
            whole = View(
                "body", "", SQUASH.build, view.side
            )  # any view of that side: what follows is the same
            self._networks[key] = build_network(self.recipe, self.weights, (whole,), 0, precision)
        return self._networks[key]


def _framer(view: View, side: int) -> Framer:
    import keras
    import tensorflow as tf

    if view.framed is None:
        image = keras.Input((None, None, 1), dtype="uint8")
        square = keras.layers.Reshape((side, side, 1), dtype="float32")(view.build(image, side))
        return keras.Model(image, square).predict_on_batch  # type: ignore[no-any-return]
    framed = tf.function(view.framed, reduce_retracing=True, autograph=False)
    return lambda films: framed(tf.constant(films), side).numpy()[..., None]
