import numpy as np
import pytest

from pneumo_tasks.evaluation.probes.robustness import (
    ALTERATIONS,
    as_poor_jpeg,
    measure_robustness,
    with_gamma,
)

RNG = np.random.default_rng(0)
FILMS = [RNG.integers(40, 200, (64, 60), np.uint8) for _ in range(40)]
ILL = np.arange(40) % 2 == 1
for _film, _ill in zip(FILMS, ILL, strict=True):
    _film[:4] = np.array([[80], [160], [80], [160]]) if _ill else 120  # a marker that tells the label


def test_a_model_that_reads_the_rim_loses_its_auc_when_the_rim_is_masked() -> None:
    found = measure_robustness(
        lambda films: np.array([film[:4].std() for film in films], np.float32),
        FILMS,
        ILL,
        ALTERATIONS,
    )
    rows = {row.alteration: row for row in found}
    assert set(rows) == {"none", *ALTERATIONS}
    assert rows["none"].auc == 1.0
    assert rows["rim of 12 % masked"].fall > 0.2
    assert rows["mirrored"].fall == 0.0
    assert rows["gamma 1.4"].fall == pytest.approx(0.0, abs=0.01)


def test_every_alteration_gives_a_film_of_the_same_shape() -> None:
    for alter in ALTERATIONS.values():
        assert (alter(FILMS[0]).shape, alter(FILMS[0]).dtype) == (FILMS[0].shape, FILMS[0].dtype)


def test_gamma_and_jpeg_do_what_they_say() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    assert (with_gamma(ramp, 1.4) <= ramp).all()
    assert (with_gamma(ramp, 0.7) >= ramp).all()
    assert 0 < np.abs(as_poor_jpeg(FILMS[0]).astype(int) - FILMS[0]).mean() < 40
