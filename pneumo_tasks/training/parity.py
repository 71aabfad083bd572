"""Parity: the exported file says what the cached path says, or it is not a candidate."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.artefact import load_artefact, score_images
from pneumo_tasks.training.features import extract_exactly
from pneumo_tasks.training.films import read_films
from pneumo_tasks.training.mapped_arrays import Indices
from pneumo_tasks.training.network import Network
from pneumo_tasks.training.workplace import Workplace

log = logging.getLogger(__name__)

SAMPLE, LARGER_SAMPLE = 16, 128
SAME_PRECISION = 1e-4  # largest difference in probability where both compute in float32
LOWER_PRECISION = 1e-2  # where the features, or the training, were computed in a lower precision


class PrecisionTooLow(CorruptArtefact):
    """The file is right, but features in a lower precision are no measure of it: float32 would be."""


def check_parity(
    place: Workplace, path: Path, exported: Network, cached: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """The validation scores to choose the operating point on, and their distance from the ``cached`` ones.

    In float32 the file is asked about a sample and the cached scores stand. After a lower precision
    the ``exported`` network, which the file holds, scores float32 features of every validation film,
    and that is what counts; but for a cross-fitted head out-of-fold scores count, and the file is
    asked about a larger sample. CorruptArtefact where the file differs by more than the limit;
    PrecisionTooLow where float32 may help, and the next run of any recipe with such a head will use it.
    """
    lower = {place.source.precision, place.hardware.training_precision} != {"float32"}
    if lower and place.recipe.cross_fitted:
        difference = _difference(_ask(place, path, LARGER_SAMPLE), cached)
        _check_precision(place, difference)
        return cached, difference
    exact = _score_exactly(place, exported) if lower else cached
    difference = _difference(_ask(place, path, SAMPLE), exact)
    log.info("the exported model differs from float32 features by %.1e at most", difference)
    if not difference <= SAME_PRECISION:
        raise CorruptArtefact(
            "the exported model gives other probabilities than the cached features",
            found=f"difference {difference:.2e}, limit {SAME_PRECISION:g}",
            do="Delete the features of this extractor and run again.",
        )
    if lower:
        difference = float(np.abs(exact - cached).max())
        _check_precision(place, difference)
    return exact, difference


def _check_precision(place: Workplace, difference: float) -> None:
    log.info("%s differs from float32 by %.1e at most, limit %g", place.precision, difference,
             LOWER_PRECISION)  # fmt: skip
    if difference <= LOWER_PRECISION:
        return
    place.source.refuse(place.recipe.head.cuts, difference)
    raise PrecisionTooLow(
        f"in {place.source.precision} the model gives other probabilities than its file",
        found=f"difference {difference:.2e}, limit {LOWER_PRECISION:g}",
        do="Set PNEUMO_PRECISION=float32, or leave the choice to auto.",
    )


def _score_exactly(place: Workplace, exported: Network) -> NDArray[np.float32]:
    """What the float32 network says about float32 features of the validation films, each made once."""
    extract_exactly(place.settings, place.store, place.snapshot_id, "validation")
    source = dataclasses.replace(place.source, precision="float32", _open={})
    return place.validation_scores(exported, place.recipe.stages[-1], source)


def _ask(place: Workplace, path: Path, wanted: int) -> tuple[Indices, NDArray[np.float32]]:
    """Some validation films, as places among them, and what the file, loaded afresh, says about them."""
    rows = place.rows[place.rows["split"] == "validation"]
    chosen, model = _sample(len(rows), wanted), load_artefact(path)
    films = read_films(place.settings, place.store, rows.iloc[chosen], 32)
    return chosen, np.concatenate([score_images(model, batch) for batch in films])


def _difference(asked: tuple[Indices, NDArray[np.float32]], scores: NDArray[np.float32]) -> float:
    chosen, answers = asked
    return float(np.abs(answers - scores[chosen]).max())


def sample_films(place: Workplace) -> list[NDArray[np.uint8]]:
    """Some validation films, spread over the split."""
    rows = place.rows[place.rows["split"] == "validation"]
    return next(read_films(place.settings, place.store, rows.iloc[_sample(len(rows))], SAMPLE))


def _sample(count: int, wanted: int = SAMPLE) -> Indices:
    return np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)
