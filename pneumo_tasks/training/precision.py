"""Precision: how far features computed in a lower one are from float32, measured before they are used."""

import contextlib
import logging
import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks import layout
from pneumo_tasks.errors import BadConfiguration, ConditionFailed, ObjectMissing
from pneumo_tasks.object_store import ObjectStore, canonical_json
from pneumo_tasks.settings import Settings
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
    """Keep the error measured first, whatever it is: workers that measured at once then agree."""
    log.info("%s in %s: relative error %.1e on %d films", extractor.cut, extractor.source.precision, error,
             films)  # fmt: skip
    known = error if math.isfinite(error) else sys.float_info.max  # JSON has no infinity
    facts = {"relative_error": known, "films": films, "limit": ERROR_LIMIT}
    with contextlib.suppress(ConditionFailed):
        store.put_if_absent(layout.extractor(extractor.id, _NAME), canonical_json(facts))


def read_error(store: ObjectStore, extractor: Extractor) -> float | None:
    """The measured error; 0 in float32, None where it was not measured yet."""
    if extractor.source.precision == "float32":
        return 0.0
    try:
        return float(store.read_json(layout.extractor(extractor.id, _NAME))["relative_error"])
    except ObjectMissing:
        return None


def settled_precision(
    settings: Settings, store: ObjectStore, preferred: str, extractors: Iterable[Extractor]
) -> str:
    """``preferred``, or float32 where a measured error of its ``extractors`` exceeds the limit.

    Raises BadConfiguration where the settings asked for that precision by name.
    """
    errors = {extractor.cut: read_error(store, extractor) for extractor in extractors}
    far = {cut: error for cut, error in errors.items() if error is not None and not error <= ERROR_LIMIT}
    if not far:
        return preferred
    found = ", ".join(f"{cut}: relative error {error:.2e}" for cut, error in far.items())
    if settings.precision != "auto":
        raise BadConfiguration(
            f"features in {preferred} are too far from float32",
            found=f"{found}, limit {ERROR_LIMIT:g}",
            do="Set PNEUMO_PRECISION=float32, or leave the choice to auto.",
        )
    log.warning("features in %s are too far from float32 (%s, limit %g): float32 is used", preferred, found,
                ERROR_LIMIT)  # fmt: skip
    return "float32"
