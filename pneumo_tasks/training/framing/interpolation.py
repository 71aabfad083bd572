"""Sampling: grey values between the pixels, their means and slopes, by ops that Keras and ONNX have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


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


def blurring(size: int, sigma: float, taps: int) -> NDArray[np.float32]:
    """A Gaussian as a matrix (size, size) to multiply from the left; the image is mirrored at its edges."""
    offsets = np.arange(taps) - taps // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix = np.zeros((size, size))
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        column = np.abs(np.arange(size) + offset)
        column = (size - 1) - np.abs(size - 1 - column)
        matrix[np.arange(size), column] += weight
    return matrix.astype(np.float32)


def area_means(out: int, given: int) -> NDArray[np.float64]:
    """The matrix (out, given) that takes the means of ``given / out`` pixels, a whole number."""
    factor = given // out
    return np.kron(np.eye(out), np.full((1, factor), 1 / factor))


def slopes(size: int) -> NDArray[np.float32]:
    """Central differences for coordinates of -1 to 1; 0 at the edges."""
    matrix, half = np.zeros((size, size), np.float32), 0.5 * (size - 1) / 2
    for row in range(1, size - 1):
        matrix[row, row + 1], matrix[row, row - 1] = half, -half
    return matrix
