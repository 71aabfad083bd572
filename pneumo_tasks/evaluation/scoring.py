"""Scores of a stored artefact on the locked test images, each pair computed once."""

import io
import logging
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo_tasks import layout
from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.evaluation.metrics import Scores
from pneumo_tasks.imaging import Grey, decode_grey
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.training.artefact import load_artefact, score_images

log = logging.getLogger(__name__)

_FETCHED_AT_ONCE = 32


def score_artefact(
    store: ObjectStore, rows: pd.DataFrame, test_set_id: str, model_key: str, model_sha256: str
) -> Scores:
    """Probability of PNEUMONIA for each of ``rows``, in their order, from the artefact itself.

    The artefact is read back from the bucket, its digest checked, and loaded in safe mode. Scores
    are kept by (model sha256, test set), so a champion is scored again only when the test set
    grew. CorruptArtefact where the artefact or an image is not the one that was recorded.
    """
    key = layout.test_set_scores(test_set_id, model_sha256)
    kept = _kept_scores(store, key, rows)
    if kept is not None:
        log.info("scores of %s on test set %s are kept", model_sha256[:12], test_set_id)
        return kept
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        path = Path(folder) / "model.keras"
        store.download(model_key, path, model_sha256)
        probability = score_images(load_artefact(path), read_images(store, rows)).astype(np.float64)
    if len(probability) != len(rows):
        raise BadData("the artefact did not score every image", found=f"{len(probability)} of {len(rows)}")
    table = pd.DataFrame({"sha256": rows["sha256"].to_numpy(), "probability": probability})
    store.put(key, table.to_parquet(index=False))
    return probability


def read_images(store: ObjectStore, rows: pd.DataFrame) -> Iterator[Grey]:
    """The decoded images of ``rows`` in order, fetched a few at a time, each digest checked."""

    def fetch(wanted: tuple[str, str]) -> Grey:
        key, digest = wanted
        return decode_grey(store.read_verified(key, digest))

    wanted = list(zip(rows["key"], rows["sha256"], strict=True))
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, len(wanted), _FETCHED_AT_ONCE):
            yield from pool.map(fetch, wanted[start : start + _FETCHED_AT_ONCE])


def _kept_scores(store: ObjectStore, key: str, rows: pd.DataFrame) -> Scores | None:
    try:
        table = pd.read_parquet(io.BytesIO(store.read(key)))
    except ObjectMissing:
        return None
    by_image = table.drop_duplicates("sha256").set_index("sha256")["probability"]
    found = by_image.reindex(rows["sha256"])
    return None if found.isna().any() else found.to_numpy(np.float64)
