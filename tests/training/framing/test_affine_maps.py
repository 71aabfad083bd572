import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_tasks.training.framing.affine_maps import (
    GRID,
    IDENTITY,
    SIDE,
    WHOLE,
    compose,
    onto_template,
    places,
    points,
    warp,
)

MAPS = st.lists(st.floats(-0.25, 0.25, width=32), min_size=6, max_size=6).map(
    lambda off: IDENTITY + np.array([off], np.float32)
)
CORNERS = np.array([[-1, 1, -1, 1, 0], [-1, -1, 1, 1, 0], [1, 1, 1, 1, 1]], np.float32)


@settings(deadline=None, max_examples=30)
@given(MAPS, MAPS)
def test_a_composed_map_takes_a_point_where_one_after_the_other_takes_it(
    outer: np.ndarray, inner: np.ndarray
) -> None:
    halfway = places(inner, CORNERS)
    in_turn = places(outer, points(halfway[:, 0], halfway[:, 1]))
    at_once = places(compose(outer, inner), CORNERS)
    np.testing.assert_allclose(np.asarray(at_once), np.asarray(in_turn), atol=1e-3)


def test_the_identity_leaves_every_pixel_and_every_place() -> None:
    film = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE)).astype(np.float32)
    same = np.repeat(IDENTITY, 2, 0)
    np.testing.assert_allclose(np.asarray(warp(film, same, SIDE, WHOLE)), film, atol=0.05)
    small = film[:, :GRID, :GRID]
    np.testing.assert_allclose(np.asarray(onto_template(small, same)), small, atol=0.05)
    np.testing.assert_allclose(np.asarray(places(same, CORNERS))[0, :, 3], [GRID - 1, GRID - 1])


def test_what_lies_beyond_the_film_is_mirrored() -> None:
    ramp = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))[None]
    left = IDENTITY + np.array([[0, 0, -0.2, 0, 0, 0]], np.float32)
    row = np.asarray(warp(ramp, left, SIDE, WHOLE))[0, SIDE // 2]
    shift = 0.2 * (SIDE / GRID) * (GRID - 1) / 2
    np.testing.assert_allclose(row[0], shift, atol=0.1)
    np.testing.assert_allclose(row[int(shift) + 40], int(shift) + 40 - shift, atol=0.1)
    assert (row >= 0).all()


def test_a_film_alone_is_laid_as_among_others() -> None:
    from keras import ops

    films = np.random.default_rng(0).uniform(0, 255, (3, SIDE, SIDE)).astype(np.float32)
    maps = IDENTITY + np.random.default_rng(1).uniform(-0.2, 0.2, (3, 6)).astype(np.float32)
    together = np.asarray(warp(films, ops.convert_to_tensor(maps), 96))
    for film, parameters, expected in zip(films, maps, together, strict=True):
        alone = warp(film[None], ops.convert_to_tensor(parameters[None]), 96)
        np.testing.assert_allclose(np.asarray(alone)[0], expected, atol=1e-3)


def test_each_pixel_comes_from_where_the_map_takes_its_place() -> None:
    """On a ramp the grey level is the column, or the row, that was sampled."""
    across = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))
    parameters = np.array([[0.8, 0.1, 0.05, -0.06, 0.7, 0.02]], np.float32)
    seen = np.asarray(warp(np.stack([across, across.T]), np.repeat(parameters, 2, 0), SIDE, WHOLE))
    middle = (np.arange(SIDE) + 0.5) * GRID / SIDE - 0.5
    x, y = np.meshgrid(middle, middle)
    here = np.asarray(places(parameters, points(x.reshape(1, -1), y.reshape(1, -1))))[0]
    wanted = ((here + 0.5) * SIDE / GRID - 0.5).reshape(2, SIDE, SIDE)
    inside = ((wanted > 1) & (wanted < SIDE - 2)).all(0)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(seen[:, inside], wanted[:, inside], atol=0.01)
