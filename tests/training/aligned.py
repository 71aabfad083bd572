"""Drawn chests, to align."""

from typing import Any

import numpy as np

from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.local.phantoms import draw_phantoms


def chests(per_label: int = 16) -> tuple[list[Grey], "np.ndarray[Any, np.dtype[np.bool_]]"]:
    phantoms = draw_phantoms(train_per_label=per_label, test_per_label=0)
    return [phantom.pixels for phantom in phantoms], np.array([p.label == "PNEUMONIA" for p in phantoms])
