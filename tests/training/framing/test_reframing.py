import numpy as np
import pytest

from pneumo_tasks.training.framing.reframing import REFRAMINGS, reframed

FILM = np.full((100, 80), 50, np.uint8)
FILM[40:60, 30:50] = 250


def _centre(film: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    rows, columns = np.nonzero(film > 150)
    return float(rows.mean()), float(columns.mean())


def test_a_stretched_film_keeps_its_centre_and_its_size() -> None:
    stretched = reframed(FILM, across=1.0, down=1.25)
    assert stretched.shape == FILM.shape
    assert abs(int((stretched[:, 40] > 150).sum()) - 25) <= 1
    assert _centre(stretched) == pytest.approx(_centre(FILM), abs=0.6)


def test_a_shifted_film_moves_by_the_share_it_was_told() -> None:
    row, column = _centre(FILM)
    assert _centre(reframed(FILM, 1, 1, right=0.1, lower=-0.2)) == pytest.approx(
        (row - 20, column + 8), abs=0.6
    )
    assert _centre(reframed(FILM, 1.25, 1.25, right=0.1)) == pytest.approx((row, column + 8), abs=0.7)


@pytest.mark.parametrize("name", REFRAMINGS)
def test_a_reframing_keeps_the_mean_grey_about_as_it_was(name: str) -> None:
    assert abs(float(REFRAMINGS[name](FILM).mean()) - FILM.mean()) < 8
