"""Frames: how a film of any size becomes a square, in the graph, so that serving cannot forget it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.storage.object_store import sha256
from pneumo_tasks.training.framing.affine_maps import SIDE
from pneumo_tasks.training.recipe import Recipe

EDGE = SIDE // 8  # of the film, that its core is without


@dataclass(frozen=True)
class View:
    """One way to frame a film: ``build(image uint8 (N, H, W, 1), side)`` gives float32 (N, side, side).

    ``sha256`` identifies everything the pixels depend on besides the film; ``side`` is that of the
    framed film, None for the side of the backbone's input. Where ``varied`` is False, training makes
    no drawn copies of this view. ``framed`` gives the pixels of ``build`` in a graph that nobody saves,
    where one is faster to trace.
    """

    name: str
    sha256: str
    build: Callable[[Any, int], Any]
    side: int | None = None
    varied: bool = True
    framed: Callable[[Any, int], Any] | None = None

    def side_of(self, recipe: Recipe) -> int:
        return self.side or recipe.image_size


def resize(pixels: Any, side: int) -> Any:
    """float32 (N, H, W) to (N, side, side) with an anti-aliased triangle filter.

    Two matrix products whose weights are computed in the graph: no op that ONNX lacks, any height
    and width, exactly the identity where the image has that size already.
    """
    from keras import ops

    rows = _resize_weights(ops.ones_like(pixels[:, :, :1]), side)
    columns = _resize_weights(ops.ones_like(ops.transpose(pixels[:, :1, :], (0, 2, 1))), side)
    return ops.matmul(ops.matmul(ops.transpose(rows, (0, 2, 1)), pixels), columns)


def squash(image: Any, side: int) -> Any:
    """The whole film, squashed to a square whatever its aspect: what the article does."""
    from keras import ops

    return resize(ops.cast(image[..., 0], "float32"), side)


def core(image: Any, side: int) -> Any:
    """The film without its outer eighth: markers, borders and collimation lie there, and tell the origin."""
    film = squash(image, SIDE)
    return resize(film[:, EDGE:-EDGE, EDGE:-EDGE], side)


# A film before any view: what copies of whole films are drawn on.
WHOLE_FILM = View("film", sha256(b"squash to 224 px, to draw on, version 1"), squash, side=SIDE, varied=False)
SQUASH = View("squash", sha256(b"squash: anti-aliased triangle filter, version 1"), squash)
CORE = View("core", sha256(b"core: 224 px without 28 at each edge, version 1"), core)


def _resize_weights(ones: Any, side: int) -> Any:
    """(N, H, 1) of ones to (N, H, side): what each input pixel gives to each output pixel."""
    from keras import ops

    centre_in = ops.cumsum(ones, axis=1) - 0.5
    step = (ops.max(centre_in, axis=1, keepdims=True) + 0.5) / side
    centres: NDArray[np.float32] = (np.arange(side, dtype=np.float32) + 0.5)[None, None]
    weights = ops.relu(1.0 - ops.abs(centre_in - step * centres) / ops.maximum(step, 1.0))
    return weights / ops.sum(weights, axis=1, keepdims=True)
