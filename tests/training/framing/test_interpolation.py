import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from pneumo_tasks.training.framing.interpolation import Sampler, area_means, blurring, slopes

PLACES = st.lists(st.tuples(st.floats(0, 9), st.floats(0, 7)), min_size=1, max_size=5)


@settings(deadline=None, max_examples=30)
@given(PLACES)
def test_between_the_pixels_of_a_plane_lies_the_plane(found: list[tuple[float, float]]) -> None:
    x, y = np.array(found, np.float32).T[:, None]
    columns, rows = np.meshgrid(np.arange(10.0), np.arange(8.0))
    plane = (3 * columns - 2 * rows + 5).astype(np.float32)[None]
    seen = np.asarray(Sampler(plane).at(x, y))
    np.testing.assert_allclose(seen, 3 * x - 2 * y + 5, atol=1e-4)


def test_each_film_of_a_batch_and_each_of_its_channels_is_sampled_from_itself() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype(np.float32)
    x, y = np.tile([0.0, 4.0, 2.0], (3, 1)), np.tile([0.0, 5.0, 3.0], (3, 1))
    seen = np.asarray(Sampler(maps).at(x.astype(np.float32), y.astype(np.float32)))
    np.testing.assert_allclose(seen, maps[:, [0, 5, 3], [0, 4, 2]], atol=1e-6)


def test_blurring_is_a_gaussian_that_mirrors_the_edge() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 4))
    wanted = gaussian_filter1d(rows, 1.2, axis=0, mode="mirror", radius=4)
    np.testing.assert_allclose(blurring(30, 1.2, 9) @ rows, wanted, atol=1e-6)


def test_area_means_and_slopes_are_those_of_a_line() -> None:
    line = np.linspace(-1, 1, 8)
    np.testing.assert_allclose(area_means(4, 8) @ line, line.reshape(4, 2).mean(1))
    np.testing.assert_allclose(slopes(8) @ (3 * line), [0, *[3] * 6, 0], atol=1e-6)
