"""Precision: how far features computed in a lower one are from float32, measured before they are used."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks import layout
from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.training.extractors import Extractor

log = logging.getLogger(__name__)

ERROR_LIMIT = 2e-2  # relative L2 error of features, over a sample
SAMPLE = 32  # films

_NAME = "precision.json"


def relative_error(found: NDArray[Any], exact: NDArray[Any]) -> float:
    """|found - exact| / |exact|, L2 over all values."""
    given, true = found.astype(np.float64), exact.astype(np.float64)
    return float(np.linalg.norm(given - true)) / max(float(np.linalg.norm(true)), 1e-30)


def record_error(store: ObjectStore, extractor: Extractor, error: float, films: int) -> None:
    """Keep the measured error beside the features; BadConfiguration where it exceeds the limit."""
    log.info("%s in %s: relative error %.1e on %d films", extractor.cut, extractor.source.precision, error,
             films)  # fmt: skip
    if not error <= ERROR_LIMIT:
        raise BadConfiguration(
            f"features in {extractor.source.precision} are too far from float32",
            where=extractor.cut,
            found=f"relative error {error:.2e}, limit {ERROR_LIMIT:g}",
            do="Set PNEUMO_PRECISION=float32.",
        )
    facts = {"relative_error": error, "films": films, "limit": ERROR_LIMIT}
    store.put_json(layout.extractor(extractor.id, _NAME), facts)


def read_error(store: ObjectStore, extractor: Extractor) -> float | None:
    """The measured error; 0 in float32, None where it was not measured yet."""
    if extractor.source.precision == "float32":
        return 0.0
    try:
        return float(store.read_json(layout.extractor(extractor.id, _NAME))["relative_error"])
    except ObjectMissing:
        return None
