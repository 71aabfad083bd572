"""Alignment: the affine map that lays a film's lungs over a template, in plain Keras ops.

Maximises the enhanced correlation coefficient (Evangelidis & Psarakis 2008) by a fixed number of
Gauss-Newton steps, each a 6 x 6 system. No linear-algebra op, no loop, no custom layer: the graph
is saved in a `.keras` file that loads in safe mode, and exports to ONNX. The edge of the compared
area is soft and no step ends early; with either, rounding errors grow into other maps.

The first round blurs a film as it came, and where it ends depends on how the film was framed. The next
rounds seek on the film as the map so far lays it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.training.framing.affine_maps import (
    GRID,
    IDENTITY,
    SIDE,
    WHOLE,
    Matrix,
    compose,
    grid_axis,
    places,
    points,
    warp,
)
from pneumo_tasks.training.framing.interpolation import Sampler, area_means, blurring, slopes

STRIDE = 2  # every second template pixel of each row and column is compared
ITERATIONS = 20  # where there is but one round
ROUNDS = (8, 4, 4)  # iterations of each
# Layers of a saved graph, (N, 1): whether a film was aligned, and how alike it then is to the template.
ACCEPTED, CORRELATION = "alignment_accepted", "alignment_correlation"

_BORDER = (6.5, 4.5)  # columns and rows at the film's edges that are not compared: markers, collimation
_RAMP = 3.0  # width of that border's soft edge
_SCALES, _SHIFT = (0.6, 1.5), 0.45  # what a plausible map does; the shift is a share of the film
_LEAST_CORRELATION = 0.5


@dataclass(frozen=True)
class Alignment:
    """``parameters`` (N, 6) map the template's coordinates, -1 to 1, to the film's.

    ``accepted`` (N, 1) is 1, or 0 where no plausible map was found and the identity stands.
    ``correlation`` (N, 1) is that of the template with the film under the map that was found.
    """

    parameters: Any
    accepted: Any
    correlation: Any


State = tuple[Any, Any, Any]  # parameters, whether they can be trusted, and the correlation before the step
Repeat = Callable[[Callable[[Any, Any], State], int, State], State]


def unrolled(step: Callable[[Any, Any], State], times: int, state: State) -> State:
    """Step by step: what a saved graph holds."""
    for _ in range(times):
        state = step(*state[:2])
    return state


def looped(step: Callable[[Any, Any], State], times: int, state: State) -> State:
    """As a loop: traced once, for a graph that nobody saves."""
    from keras import ops

    answer: State = ops.fori_loop(0, times, lambda _, now: step(*now[:2]), state)
    return answer


def small(films: Any) -> Any:
    """(N, SIDE, SIDE) to (N, GRID, GRID): area means, blurred."""
    from keras import ops

    smaller = (blurring(GRID, 1.2, 9) @ area_means(GRID, SIDE)).astype(np.float32)
    return ops.matmul(ops.matmul(smaller, films), smaller.T)


def target_of(template: Matrix) -> Matrix:
    """The template as ``align`` compares it, (1, P): blurred, standardised, every STRIDE-th pixel."""
    blur = blurring(GRID, 1.1, 5)
    soft = blur @ template.astype(np.float64) @ blur.T
    soft = (soft - soft.mean()) / soft.std()
    target: Matrix = soft[_kept()].reshape(1, -1).astype(np.float32)
    return target


def align(
    films: Any,
    target: Any,
    rounds: tuple[int, ...] = ROUNDS,
    suffix: str = "",
    repeat: Repeat = unrolled,
) -> Alignment:
    """The map from the template to each of ``films`` (N, SIDE, SIDE); ``target`` is `target_of` the template.

    ``suffix`` ends the names of the layers where a graph aligns more than once.
    """
    parameters, sound, correlation = _search(small(films), target, rounds[0], None, repeat)
    for iterations in rounds[1:]:
        moved = small(warp(films, parameters, SIDE, WHOLE))
        more, still_sound, correlation = _search(moved, target, iterations, parameters, repeat)
        parameters, sound = compose(parameters, more), sound * still_sound
    return _accepted(parameters, sound, correlation, suffix)


def align_small(
    smalls: Any, target: Any, laid_by: Any = None, suffix: str = "", repeat: Repeat = unrolled
) -> Alignment:
    """One round for small films (N, GRID, GRID); ``target`` (1 or N, P).

    ``laid_by`` (N, 6) are maps by which they were laid over the template before: then what lies beyond
    the edges of the film, and was mirrored, is not compared, nor is its border.
    """
    return _accepted(*_search(smalls, target, ITERATIONS, laid_by, repeat), suffix)


def _search(smalls: Any, target: Any, iterations: int, laid_by: Any, repeat: Repeat) -> State:
    """Parameters, whether they can be trusted (N, 1), and the correlation before the last step (N, 1)."""
    from keras import ops

    blur, slope = blurring(GRID, 1.1, 5), slopes(GRID)
    soft = ops.matmul(ops.matmul(blur, smalls), blur.T)
    flat = ops.reshape(soft, (-1, GRID * GRID))
    flat = (flat - ops.mean(flat, 1, keepdims=True)) / (ops.std(flat, 1, keepdims=True) + 1e-3)
    soft = ops.reshape(flat, (-1, GRID, GRID))
    sampler = Sampler(ops.stack([soft, ops.matmul(soft, slope.T), ops.matmul(slope, soft)], -1))
    compared, products = (_once(array, flat) for array in _compared())
    target = _once(target, flat) if isinstance(target, np.ndarray) else target
    parameters = ops.zeros_like(flat[:, :6]) + IDENTITY
    sound = ops.ones_like(flat[:, :1])

    def step(parameters: Any, sound: Any) -> State:
        found = places(parameters, compared)
        return _step(sampler, found, _weight(found, laid_by), products, target, parameters, sound)

    return repeat(step, iterations, (parameters, sound, sound))


def _weight(found: Any, laid_by: Any) -> Any:
    """How much each place (N, 2, P) counts, (N, P): not in the film's border, and not beyond its edges."""
    if laid_by is None:
        return _soft_edge(found[:, 0], _BORDER[0]) * _soft_edge(found[:, 1], _BORDER[1])
    in_film = places(laid_by, points(found[:, 0], found[:, 1]))
    return _weight(in_film, None) * _soft_edge(found[:, 0], 0.0) * _soft_edge(found[:, 1], 0.0)


def _step(
    sampler: Sampler, found: Any, weight: Any, products: Any, target: Any, parameters: Any, sound: Any
) -> State:
    """One step: parameters, whether they still can be trusted, and the correlation before the step."""
    from keras import ops

    x, y = found[:, 0], found[:, 1]
    values = sampler.at(ops.clip(x, 0.0, GRID - 1.0), ops.clip(y, 0.0, GRID - 1.0))
    count = ops.sum(weight, 1, keepdims=True) + 1.0
    film = weight * _centred(values[..., 0], weight, count)
    wanted = weight * _centred(target, weight, count)
    across, down = values[..., 1] * weight, values[..., 2] * weight
    pairs = [across * across, across * down, down * down]
    pairs += [across * film, down * film, across * wanted, down * wanted]
    sums = ops.reshape(ops.matmul(ops.stack(pairs, 1), products), (-1, 42))
    hessian = ops.reshape(ops.take(sums, _HESSIAN, axis=1), (-1, 6, 6))
    hessian = hessian * (1.0 + 1e-6 * np.eye(6, dtype=np.float32)) + 1e-3 * np.eye(6, dtype=np.float32)
    sides = ops.reshape(ops.take(sums, _SIDES, axis=1), (-1, 6, 2))
    solved = _solve(hessian, sides)
    film_film, wanted_wanted, film_wanted = (
        ops.sum(one * other, 1, keepdims=True)
        for one, other in ((film, film), (wanted, wanted), (film, wanted))
    )
    projected = ops.sum(sides * solved[..., :1], 1)  # of the film and of the template
    upper, lower = film_film - projected[:, :1], film_wanted - projected[:, 1:]
    usable = ops.cast(lower > 1e-6 * count, "float32")
    gain = upper / ops.maximum(lower, 1e-6 * count)
    moved = parameters + gain * solved[..., 1] - solved[..., 0]
    sound = sound * usable * ops.cast(ops.max(ops.abs(parameters), 1, keepdims=True) < 4.0, "float32")
    correlation = film_wanted / ops.sqrt(ops.maximum(film_film * wanted_wanted, 1e-6))
    return ops.where(sound > 0, moved, parameters), sound, correlation


def _accepted(parameters: Any, sound: Any, correlation: Any, suffix: str) -> Alignment:
    from keras import layers, ops

    correlation = layers.Reshape((1,), name=CORRELATION + suffix, dtype="float32")(correlation)
    a, b, c, d, e, f = (parameters[:, number : number + 1] for number in range(6))
    scales = ops.concatenate([ops.sqrt(a * a + d * d), ops.sqrt(b * b + e * e)], 1)
    shifts = ops.concatenate([1.0 + c - a - b, 1.0 + f - d - e], 1) * (GRID - 1) / 2
    plausible = ops.all(ops.logical_and(scales > _SCALES[0], scales < _SCALES[1]), 1, keepdims=True)
    near = ops.all(ops.abs(shifts) < _SHIFT * GRID, 1, keepdims=True)
    good = ops.cast(ops.logical_and(plausible, near), "float32") * sound
    good = good * ops.cast(correlation >= _LEAST_CORRELATION, "float32")
    good = layers.Reshape((1,), name=ACCEPTED + suffix, dtype="float32")(good)
    return Alignment(
        ops.where(good > 0, parameters, ops.zeros_like(parameters) + IDENTITY), good, correlation
    )


def _centred(values: Any, weight: Any, count: Any) -> Any:
    from keras import ops

    return ops.subtract(values, ops.sum(weight * values, 1, keepdims=True) / count)


def _soft_edge(place: Any, border: float) -> Any:
    """1 inside, 0 in the border, a ramp between: continuous, so that nothing hangs on rounding."""
    from keras import ops

    inner = ops.minimum(place - border, (GRID - 1.0 - border) - place)
    return ops.clip(inner / _RAMP + 0.5, 0.0, 1.0)


def _solve(matrix: Any, sides: Any) -> Any:
    """Gauss-Jordan, written out, for positive definite (N, 6, 6) and (N, 6, k)."""
    from keras import ops

    both = ops.concatenate([matrix, sides], -1)
    for k in range(6):
        unit = np.zeros((1, 6, 1), np.float32)
        unit[0, k] = 1
        pivot = both[:, k : k + 1, :]
        pivot = pivot / pivot[:, :, k : k + 1]
        both = both - (both[:, :, k : k + 1] - unit) * pivot
    return both[:, :, 6:]


def _once(array: Matrix, like: Any) -> Any:
    """A constant as a tensor of the graph: the steps share it, and the saved file holds it once."""
    from keras import ops

    return ops.add(ops.mean(ops.zeros_like(like)), array)


def _compared() -> tuple[Matrix, Matrix]:
    """The compared template pixels (3, P) in coordinates of -1 to 1, and their products (P, 6)."""
    axis = grid_axis()
    u, v = (grid[_kept()] for grid in np.meshgrid(axis, axis))
    one = np.ones_like(u)
    products = np.stack([u * u, u * v, u, v * v, v, one], 1)
    return np.stack([u, v, one]).astype(np.float32), products.astype(np.float32)


def _kept() -> NDArray[np.bool_]:
    kept = np.zeros((GRID, GRID), bool)
    kept[(STRIDE - 1) // 2 :: STRIDE, (STRIDE - 1) // 2 :: STRIDE] = True
    return kept


# Where the entries of the system lie among the 7 x 6 sums of pairs times products.
_THIRD = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
_HESSIAN = np.block([[_THIRD, _THIRD + 6], [_THIRD + 6, _THIRD + 12]]).astype(np.int32).ravel()
_SIDES = np.array([20, 32, 22, 34, 23, 35, 26, 38, 28, 40, 29, 41], np.int32)
