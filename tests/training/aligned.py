"""Drawn chests, and films of them that are framed in another way."""

from typing import Any

import numpy as np
from PIL import Image

from pneumo_tasks.imaging import Grey
from pneumo_tasks.local.phantoms import draw_phantoms


def chests(per_label: int = 16) -> tuple[list[Grey], "np.ndarray[Any, np.dtype[np.bool_]]"]:
    phantoms = draw_phantoms(train_per_label=per_label, test_per_label=0)
    return [phantom.pixels for phantom in phantoms], np.array([p.label == "PNEUMONIA" for p in phantoms])


def reframed(film: Grey, across: float, down: float, right: float = 0.0, lower: float = 0.0) -> Grey:
    """The film stretched about its centre and shifted (shares of its side), mean grey beyond its edges."""
    side = film.shape[0]
    start = [side / 2 * (1 - 1 / across) - right * side, side / 2 * (1 - 1 / down) - lower * side]
    matrix = (1 / across, 0, start[0], 0, 1 / down, start[1])
    picture = Image.fromarray(film)
    moved = picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=int(film.mean())
    )
    return np.asarray(moved)
