from typing import Any

import numpy as np
import pytest
from PIL import Image

from pneumo_tasks.evaluation.probes.occlusion import occlude_rim
from pneumo_tasks.training.framing.affine_maps import GRID, IDENTITY, WHOLE, warp
from pneumo_tasks.training.framing.alignment import (
    ACCEPTED,
    CORRELATION,
    align,
    align_small,
    looped,
    small,
    target_of,
    unrolled,
)
from pneumo_tasks.training.framing.frames import CORE
from pneumo_tasks.training.framing.reframing import reframed
from pneumo_tasks.training.framing.standard_frame import standard_view
from pneumo_tasks.training.framing.template import fit_template
from tests.training.aligned import chests

SIDE = 96


class Framer:
    """The standard view as a function of films: pixels, whether each was aligned, how alike it is.

    Traced once for all sizes and batches, for tracing is what takes the time.
    """

    def __init__(self) -> None:
        import keras
        import tensorflow as tf

        self.films, ill = chests()
        image = keras.Input((None, None, 1))
        self.template = fit_template(self.films, ill, rounds=0)[0]
        pixels = standard_view(self.template).build(image, SIDE)
        named = keras.Model(image, pixels)
        told = [named.get_layer(name).output for name in (ACCEPTED, CORRELATION)]
        any_film = tf.TensorSpec((None, None, None, 1), tf.float32)
        self._ask = tf.function(keras.Model(image, [pixels, *told]), input_signature=[any_film])

    def __call__(self, films: Any) -> tuple[Any, Any, Any]:
        batch = np.stack(films).astype(np.float32)[..., None]
        pixels, accepted, correlation = (answer.numpy() for answer in self._ask(batch))
        return pixels, accepted[:, 0], correlation[:, 0]


@pytest.fixture(scope="module")
def framer() -> Framer:
    return Framer()


@pytest.mark.parametrize(
    ("across", "down", "right", "lower"),
    [(1.0, 0.88, 0.0, 0.0), (1.0, 1.12, 0.0, 0.0), (0.92, 0.92, 0.0, 0.0), (1.0, 1.0, 0.06, -0.05)],
    ids=["lower lungs", "higher lungs", "smaller", "elsewhere"],
)
def test_a_film_looks_the_same_however_it_was_framed(
    framer: Framer, across: float, down: float, right: float, lower: float
) -> None:
    films = framer.films[:16]
    moved = [reframed(film, across, down, right, lower) for film in films]
    (as_it_is, good, _), (after, also_good, _) = framer(films), framer(moved)
    both = (good > 0) & (also_good > 0)
    assert both.mean() > 0.7
    raw = np.abs(np.stack(moved).astype(float) - np.stack(films)).mean((1, 2))[both]
    aligned = np.abs(after - as_it_is).mean((1, 2))[both]
    assert (aligned < raw).mean() > 0.9
    assert np.median(aligned / raw) < 0.75


def test_what_is_no_chest_is_left_as_it_is_and_said_so(framer: Framer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (224, 224), np.uint8)
    odd = [noise, np.zeros_like(noise), np.full_like(noise, 255)]
    pixels, accepted, correlation = framer(odd)
    assert not accepted.any()
    assert np.isfinite(pixels).all()
    assert np.isfinite(correlation).all()
    assert (pixels[1] == 0).all()
    assert framer(framer.films[:16])[1].mean() > 0.8


def test_a_film_alone_or_among_others_gives_the_same_pixels(framer: Framer) -> None:
    films = framer.films[:8]
    together = framer(films)[0]
    alone = np.concatenate([framer([film])[0] for film in films])
    np.testing.assert_allclose(together, alone, atol=0.5)


def test_noise_below_a_grey_level_changes_no_pixel_much(framer: Framer) -> None:
    films = np.stack(framer.films).astype(np.float32)
    noisy = films + np.random.default_rng(0).normal(0, 1e-3, films.shape)
    assert np.abs(framer(noisy)[0] - framer(films)[0]).max() < 1.0


def test_a_larger_copy_of_a_film_gives_nearly_the_same_pixels(framer: Framer) -> None:
    films = framer.films[:8]
    larger = [
        np.asarray(Image.fromarray(film).resize((500, 380), Image.Resampling.BICUBIC)) for film in films
    ]
    difference = np.abs(framer(films)[0] - framer(larger)[0])
    assert np.median(difference) < 1.0
    assert difference.mean() < 3.0


def test_what_was_mirrored_beyond_the_film_does_not_pull_at_the_map(framer: Framer) -> None:
    """Two copies of a shifted film that differ only beyond its edge need the same map."""
    import tensorflow as tf

    films = np.stack(framer.films[:6]).astype(np.float32)
    shift = np.repeat(IDENTITY + np.array([[0, 0, 0.15, 0, 0, 0]], np.float32), len(films), 0)
    moved = np.asarray(warp(films, shift, 224, WHOLE))
    beyond = np.arange(224) > 224 * (1 - 0.15 / 2) + 2
    drawn = np.where(beyond, 255.0, moved).astype(np.float32)
    target = target_of(framer.template)

    @tf.function(autograph=False)
    def maps(films: Any, laid_by: Any) -> Any:
        told = align_small(small(films), target, laid_by, repeat=looped)
        return told.parameters, align_small(small(films), target, repeat=looped).parameters

    (known, unknown), (known_drawn, unknown_drawn) = (
        [found.numpy() for found in maps(given, shift)] for given in (moved, drawn)
    )
    assert np.abs(known_drawn - known).max() < 0.2 * np.abs(unknown_drawn - unknown).max()


def test_a_search_as_a_loop_ends_where_the_same_steps_in_a_row_end(framer: Framer) -> None:
    import tensorflow as tf

    films, target = np.stack(framer.films[:4]).astype(np.float32), target_of(framer.template)
    found = {
        repeat: tf.function(lambda given, r=repeat: vars(align(given, target, (2, 1), repeat=r)))(films)
        for repeat in (unrolled, looped)
    }
    for name, value in found[unrolled].items():
        np.testing.assert_allclose(found[looped][name], value, atol=1e-5)


def test_the_core_of_a_film_is_the_same_whatever_its_rim_shows(framer: Framer) -> None:
    import keras

    image = keras.Input((None, None, 1), dtype="uint8")
    model = keras.Model(image, CORE.build(image, 150))
    films = [*framer.films[:2], np.random.default_rng(0).integers(0, 256, (500, 380), dtype=np.uint8)]
    for film in films:
        masked = occlude_rim(film)
        assert (film != masked).any()
        whole, rimless = (model.predict_on_batch(given[None, ..., None]) for given in (film, masked))
        assert whole.shape == (1, 150, 150)
        np.testing.assert_allclose(whole, rimless, atol=1e-3)


def test_the_core_and_the_aligned_film_are_of_one_size() -> None:
    import keras

    image = keras.Input((None, None, 1), dtype="uint8")
    view = standard_view(np.eye(GRID, dtype=np.float32), rounds=(1,))
    assert view.build(image, SIDE).shape == CORE.build(image, SIDE).shape == (None, SIDE, SIDE)


def test_another_template_is_another_view() -> None:
    one, other = (standard_view(np.full((GRID, GRID), grey, np.float32), (1,)) for grey in (0, 1))
    assert one.sha256 != other.sha256
    assert one.sha256 != standard_view(np.zeros((GRID, GRID), np.float32), (2,)).sha256
