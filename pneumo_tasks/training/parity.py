"""Parity: the exported file says what the cached path says, or it is not a candidate."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.artefact import load_artefact, score_images
from pneumo_tasks.training.films import read_films
from pneumo_tasks.training.workplace import Workplace

log = logging.getLogger(__name__)

SAMPLE, LARGER_SAMPLE = 16, 128
SAME_PRECISION = 1e-4  # largest difference in probability where both compute in float32
LOWER_PRECISION = 1e-2  # where the features, or the training, were computed in a lower precision


class PrecisionTooLow(CorruptArtefact):
    """The file is right, but features in a lower precision are no measure of it: float32 would be."""


def check_parity(
    place: Workplace, path: Path, cached: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """The validation scores to choose the operating point on, and their distance from the cached path.

    In float32 the file is asked about a sample and the cached scores stand. In a lower precision it
    is asked about every validation film, and its own answers are what counts; but for a
    cross-fitted head out-of-fold scores count, and a sample will do. CorruptArtefact where the two
    differ by more than the limit; PrecisionTooLow where float32 may help, and the next run of any recipe
    with such a head will use it.
    """
    rows = place.rows[place.rows["split"] == "validation"]
    same = {place.source.precision, place.hardware.training_precision} == {"float32"}
    own = not same and not place.recipe.cross_fitted
    limit = SAME_PRECISION if same else LOWER_PRECISION
    chosen = np.arange(len(rows)) if own else _sample(len(rows), SAMPLE if same else LARGER_SAMPLE)
    asked = _scores_of_file(place, path, rows.iloc[chosen])
    difference = float(np.abs(asked - cached[chosen]).max())
    log.info("the exported model differs from the cached path by %.1e at most, limit %g", difference, limit)
    if not difference <= limit:
        if not same:
            place.source.refuse(place.recipe.head.cuts, difference)
        raise (CorruptArtefact if same else PrecisionTooLow)(
            "the exported model gives other probabilities than the cached features",
            found=f"difference {difference:.2e}, limit {limit:g}",
            do="Delete the features of this extractor and run again"
            + ("." if same else ", or set PNEUMO_PRECISION=float32."),
        )
    return (asked if own else cached), difference


def sample_films(place: Workplace) -> list[NDArray[np.uint8]]:
    """Some validation films, spread over the split."""
    rows = place.rows[place.rows["split"] == "validation"]
    return next(read_films(place.settings, place.store, rows.iloc[_sample(len(rows))], SAMPLE))


def _sample(count: int, wanted: int = SAMPLE) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)


def _scores_of_file(place: Workplace, path: Path, rows: pd.DataFrame) -> NDArray[np.float32]:
    model = load_artefact(path)
    films = read_films(place.settings, place.store, rows, 32)
    return np.concatenate([score_images(model, batch) for batch in films])
