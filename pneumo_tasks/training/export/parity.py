"""Parity: the exported file says what the cached path says, or it is not a candidate."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.features.mapped_arrays import Indices
from pneumo_tasks.training.films import read_films
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.model.artefact import score_images

log = logging.getLogger(__name__)

SAMPLE, LARGER_SAMPLE = 16, 128
SAME_PRECISION = 1e-4  # largest difference in probability where both compute in float32
LOWER_PRECISION = 1e-2  # where the features were computed in a lower precision


class PrecisionTooLow(CorruptArtefact):
    """The file is right, but features in a lower precision are no measure of it: float32 would be."""


def check_parity(place: Workplace, loaded: Any, cached: NDArray[np.float32]) -> float:
    """The largest difference between what the file, ``loaded``, says of validation films and ``cached``.

    Scores of validation films are of float32 features, but for those of a cross-fitted head: of that,
    a larger sample may differ by more where its features are of a lower precision.
    CorruptArtefact where the file differs by more than the limit; PrecisionTooLow where float32 may
    help, and the next run of any recipe with such a head will use it.
    """
    lower = not place.scores_exactly()
    limit = LOWER_PRECISION if lower else SAME_PRECISION
    chosen, asked = _ask(place, loaded, LARGER_SAMPLE if lower else SAMPLE)
    difference = float(np.abs(asked - cached[chosen]).max())
    log.info("the exported model differs from the cached path by %.1e at most, limit %g", difference, limit)
    if not difference <= limit:
        if lower:
            place.source.refuse(place.recipe.head.cuts, difference)
        raise (PrecisionTooLow if lower else CorruptArtefact)(
            "the exported model gives other probabilities than the cached features",
            found=f"difference {difference:.2e}, limit {limit:g}",
            do="Delete the features of this extractor and run again"
            + (", or set PNEUMO_PRECISION=float32." if lower else "."),
        )
    return difference


def _ask(place: Workplace, loaded: Any, wanted: int) -> tuple[Indices, NDArray[np.float32]]:
    """Some validation films, as places among them, and what the file says about them."""
    rows = place.rows[place.rows["split"] == "validation"]
    chosen = _sample(len(rows), wanted)
    films = read_films(place.settings, place.store, rows.iloc[chosen], 32)
    return chosen, np.concatenate([score_images(loaded, batch) for batch in films])


def sample_films(place: Workplace) -> list[NDArray[np.uint8]]:
    """Some validation films, spread over the split."""
    rows = place.rows[place.rows["split"] == "validation"]
    return next(read_films(place.settings, place.store, rows.iloc[_sample(len(rows))], SAMPLE))


def _sample(count: int, wanted: int = SAMPLE) -> Indices:
    return np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)
