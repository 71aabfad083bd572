"""Precision: how far features computed in a lower one are from float32, measured before they are used."""

import contextlib
import logging
import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadConfiguration, ConditionFailed, ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json
from pneumo_tasks.training.features.keys import Extractor

log = logging.getLogger(__name__)

ERROR_LIMIT = 2e-2  # relative L2 error of features, over a sample
SAMPLE = 32  # films

_NAME, _REFUSED = "precision.json", "refused.json"


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


def refuse_features(store: ObjectStore, extractor: Extractor, difference: float) -> None:
    """Note that a model trained on such features differs too much from its file: no run tries again."""
    with contextlib.suppress(ConditionFailed):
        store.put_if_absent(
            layout.extractor(extractor.id, _REFUSED), canonical_json({"probability_difference": difference})
        )


def _objection(store: ObjectStore, extractor: Extractor) -> str | None:
    """Why these features are no measure of a float32 file; None where nothing is known against them."""
    error = read_error(store, extractor)
    if error is not None and not error <= ERROR_LIMIT:
        return f"{extractor.cut}: relative error {error:.2e}, limit {ERROR_LIMIT:g}"
    if extractor.source.precision != "float32" and store.exists(layout.extractor(extractor.id, _REFUSED)):
        return f"{extractor.cut}: a model trained on them gave other probabilities than its file"
    return None


def settled_precision(
    settings: Settings, store: ObjectStore, preferred: str, extractors: Iterable[Extractor]
) -> str:
    """``preferred``, or float32 where its ``extractors`` were measured, or found in use, to be too far off.

    Raises BadConfiguration where the settings asked for that precision by name.
    """
    known = [_objection(store, extractor) for extractor in extractors]
    objections = "; ".join(objection for objection in known if objection)
    if not objections:
        return preferred
    if settings.precision != "auto":
        raise BadConfiguration(
            f"features in {preferred} are too far from float32",
            found=objections,
            do="Set PNEUMO_PRECISION=float32, or leave the choice to auto.",
        )
    log.warning("features in %s are too far from float32 (%s): float32 is used", preferred, objections)
    return "float32"
