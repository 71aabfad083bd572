"""Reframing: the same chest in another frame, which must not change what a model says about it."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from pneumo_tasks.films.imaging import Grey


def reframed(film: Grey, across: float, down: float, right: float = 0.0, lower: float = 0.0) -> Grey:
    """The film stretched about its centre and shifted (shares of its sides), in a frame of the same size.

    Beyond the film's edges lies its mean grey.
    """
    high, wide = film.shape
    start_x = wide / 2 * (1 - 1 / across) - right * wide / across
    start_y = high / 2 * (1 - 1 / down) - lower * high / down
    matrix = (1 / across, 0, start_x, 0, 1 / down, start_y)
    moved = Image.fromarray(film).transform(
        (wide, high),
        Image.Transform.AFFINE,
        matrix,
        Image.Resampling.BILINEAR,
        fillcolor=round(float(film.mean())),
    )
    return np.asarray(moved)


def _reframing(across: float, down: float, right: float = 0.0, lower: float = 0.0) -> Callable[[Grey], Grey]:
    return lambda film: reframed(film, across, down, right, lower)


REFRAMINGS: dict[str, Callable[[Grey], Grey]] = {
    "zoom +10 %": _reframing(1.1, 1.1),
    "zoom -10 %": _reframing(1 / 1.1, 1 / 1.1),
    "8 % to the right": _reframing(1, 1, right=0.08),
    "8 % to the left": _reframing(1, 1, right=-0.08),
    "8 % lower": _reframing(1, 1, lower=0.08),
    "8 % higher": _reframing(1, 1, lower=-0.08),
    "stretched by 25 %": _reframing(1, 1.25),
    "compressed by 25 %": _reframing(1, 0.75),
}
