"""Affine maps: from a template's coordinates to a film's, (N, 6), and films as they lie under them.

Coordinates are -1 to 1, from the centre of the first to that of the last pixel of GRID.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.training.framing.interpolation import Sampler

Matrix = NDArray[np.float32]

SIDE = 224  # of the film that is aligned
GRID = 56  # of the small film and the template, on which a map is sought
WHOLE = (0, SIDE, 0, SIDE)
BOX = (16, 208, 14, 182)  # left, right, top, bottom of the lungs' box in the template, of SIDE
FILM_EDGE = GRID / (GRID - 1)  # half a pixel of GRID beyond the centre of its last pixel
IDENTITY: Matrix = np.array([[1, 0, 0, 0, 1, 0]], np.float32)

_CENTRE = (GRID - 1) / 2
# (N, 6) by this are (N, 2, 2, 2): [y, 1] by one of them by [x, 1] is where a map takes x, y.
_BILINEAR: Matrix = np.zeros((6, 8), np.float32)
_BILINEAR[[1, 0, 2, 4, 3, 5], [1, 2, 3, 5, 6, 7]] = 1


def compose(outer: Any, inner: Any) -> Any:
    """The map (N, 6) that is ``inner`` first, then ``outer``."""
    from keras import ops

    first, second = (ops.reshape(given, (-1, 2, 3)) for given in (inner, outer))
    shift = ops.concatenate([ops.zeros_like(second[:, :, :2]), second[:, :, 2:]], 2)
    return ops.reshape(ops.matmul(second[:, :, :2], first) + shift, (-1, 6))


def places(parameters: Any, points: Any) -> Any:
    """Where the maps (N, 6) take points (3, P) or (N, 3, P), of -1 to 1: (N, 2, P), in pixels of GRID."""
    from keras import ops

    return ops.matmul(ops.reshape(parameters, (-1, 2, 3)), points) * _CENTRE + _CENTRE


def points(x: Any, y: Any) -> Any:
    """Pixels of GRID, each (N, P), as points (N, 3, P) of -1 to 1."""
    from keras import ops

    return ops.stack([(x - _CENTRE) / _CENTRE, (y - _CENTRE) / _CENTRE, ops.ones_like(x)], 1)


def grid_axis() -> NDArray[np.float64]:
    """The pixels of a row of GRID, from -1 to 1."""
    return np.linspace(-1.0, 1.0, GRID)


def warp(films: Any, parameters: Any, side: int, box: tuple[int, int, int, int] = BOX) -> Any:
    """The box of each aligned film (N, SIDE, SIDE) as (N, side, side), mirrored at the film's edges."""
    from keras import ops

    left, right, top, bottom = box
    centres = (np.arange(side) + 0.5) * (SIDE / side) - 0.5
    x = _normal(centres * ((right - left) / SIDE) + left)
    y = _normal(centres * ((bottom - top) / SIDE) + top)
    # Rows by map by columns: the saved graph holds no table of all pixels. Not as a sum that is broadcast:
    # with a batch of one, the TensorFlow backend takes (1, side, 1) for a bias along the other axis.
    maps = ops.reshape(ops.matmul(parameters, _BILINEAR), (-1, 2, 2, 2))
    found = ops.matmul(ops.matmul(np.stack([y, np.ones_like(y)], 1), maps), np.stack([x, np.ones_like(x)]))
    pixels = _mirrored(ops.reshape(found, (-1, 2, side * side)))
    return ops.reshape(Sampler(films).at(pixels[:, 0], pixels[:, 1]), (-1, side, side))


def onto_template(smalls: Any, parameters: Any) -> Any:
    """The small films (N, GRID, GRID) as they lie on the template, clamped at their edges."""
    from keras import ops

    u, v = np.meshgrid(grid_axis(), grid_axis())
    found = places(parameters, np.stack([u.ravel(), v.ravel(), np.ones(u.size)]).astype(np.float32))
    inside = ops.clip(found, 0.0, GRID - 1.0)
    return ops.reshape(Sampler(smalls).at(inside[:, 0], inside[:, 1]), (-1, GRID, GRID))


def _normal(pixels: NDArray[np.floating[Any]]) -> Matrix:
    """Pixels of SIDE in coordinates of -1 to 1; a pixel of GRID is the mean of several of SIDE."""
    normal: Matrix = (((pixels + 0.5) * (GRID / SIDE) - 0.5 - _CENTRE) / _CENTRE).astype(np.float32)
    return normal


def _mirrored(place: Any) -> Any:
    """Coordinates of -1 to 1 in pixels of SIDE, mirrored at the film's edges."""
    from keras import ops

    last = SIDE - 1.0
    pixels = (place * _CENTRE + (_CENTRE + 0.5)) * (SIDE / GRID) - 0.5
    return ops.maximum(last - ops.abs(last - ops.abs(pixels)), 0.0)
