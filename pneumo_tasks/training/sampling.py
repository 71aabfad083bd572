"""Sampling: grey values between the pixels, with ops that Keras, TensorFlow and ONNX all have."""

from typing import Any

import numpy as np


class Sampler:
    """Bilinear values of maps (N, H, W) or (N, H, W, C) at any place, within a Keras graph.

    Gathers from one flat list of pixels, because `affine_transform` and `map_coordinates` have no
    counterpart in ONNX, or another one on each backend.
    """

    def __init__(self, maps: Any) -> None:
        from keras import ops

        self.height, self.width = maps.shape[1:3]
        self.channels = len(maps.shape) == 4
        self._flat = ops.reshape(maps, (-1, maps.shape[3]) if self.channels else (-1,))
        one = ops.reshape(maps, (-1, int(np.prod(maps.shape[1:]))))[:, :1]
        # Where each map begins: counted, for the number of maps is not known while the graph is built.
        before = ops.cumsum(ops.cast(ops.ones_like(one), "int32"), axis=0) - 1
        self._begin = before * (self.height * self.width)

    def at(self, x: Any, y: Any) -> Any:
        """Values (N, P) or (N, P, C) at the pixel coordinates x, y (N, P), taken inside the map."""
        from keras import ops

        left = ops.clip(ops.floor(x), 0.0, self.width - 2.0)
        top = ops.clip(ops.floor(y), 0.0, self.height - 2.0)
        right_share, lower_share = x - left, y - top
        if self.channels:
            right_share, lower_share = right_share[..., None], lower_share[..., None]
        index = ops.cast(top, "int32") * self.width + ops.cast(left, "int32") + self._begin

        def pixel(offset: int) -> Any:
            return ops.take(self._flat, index + offset if offset else index, axis=0)

        here, below = pixel(0), pixel(self.width)
        upper = here + (pixel(1) - here) * right_share
        lower = below + (pixel(self.width + 1) - below) * right_share
        return upper + (lower - upper) * lower_share
