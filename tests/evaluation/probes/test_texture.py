import numpy as np
import pytest

from pneumo_tasks.evaluation.probes.texture import BANDS, texture
from pneumo_tasks.training.framing.affine_maps import SIDE

ACROSS = np.arange(SIDE) / SIDE


def measured(
    *films: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> "np.ndarray[..., np.dtype[np.float32]]":
    return np.asarray(texture(np.stack(films).astype(np.float32)))


def grating(cycles: int, strength: float = 20.0) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return 100 + strength * np.sin(2 * np.pi * cycles * ACROSS)[None].repeat(SIDE, 0)


@pytest.mark.parametrize(("band", "cycles"), list(enumerate([4, 8, 17, 30, 60])))
def test_a_grating_lies_in_the_band_of_its_cycles_with_its_amplitude(band: int, cycles: int) -> None:
    (row,) = measured(grating(cycles))
    assert np.argmax(row[: len(BANDS)]) == band
    assert np.exp(row[band]) == pytest.approx(20 / np.sqrt(2), rel=1e-3)
    assert row[-1] == pytest.approx(100, rel=1e-4)


def test_twice_the_strength_is_the_same_step_in_every_band() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, (SIDE, SIDE))
    one, two = measured(100 + noise, 100 + 2 * noise)
    assert (two - one)[: len(BANDS)] == pytest.approx(np.log(2), abs=5e-3)


def test_brightness_and_the_mirror_change_no_band() -> None:
    film = np.random.default_rng(1).normal(100, 20, (SIDE, SIDE))
    plain, brighter, mirrored = measured(film, film + 30, film[:, ::-1])
    assert brighter[: len(BANDS)] == pytest.approx(plain[: len(BANDS)], abs=1e-3)
    assert mirrored == pytest.approx(plain, abs=1e-3)
    assert brighter[-1] - plain[-1] == pytest.approx(30, rel=1e-3)
