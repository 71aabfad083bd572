"""A stored artefact on the locked test images; each model is scored once a test set."""

import io
import logging
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.evaluation.metrics import Scores
from pneumo_tasks.films.imaging import Grey, decode_grey
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.model.artefact import load_artefact, score_images

log = logging.getLogger(__name__)

_FETCHED_AT_ONCE = 32


class StoredModel:
    """An artefact in the bucket, fetched and loaded when first needed, its digest checked.

    A context: the local copy goes with it. CorruptArtefact where the bytes are not ``sha256``.
    """

    def __init__(self, store: ObjectStore, key: str, sha256: str) -> None:
        self.store, self.key, self.sha256 = store, key, sha256

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pneumo-")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    @cached_property
    def path(self) -> Path:
        path = Path(self._folder.name) / "model.keras"
        self.store.download(self.key, path, self.sha256)
        return path

    @cached_property
    def model(self) -> Any:
        return load_artefact(self.path)


def score_on_test_set(stored: StoredModel, rows: pd.DataFrame, test_set_id: str) -> Scores:
    """Probability of PNEUMONIA for each of ``rows``, in their order, from the artefact itself.

    Scores are kept by (model sha256, test set), so a champion is scored again only when the test
    set grew. CorruptArtefact where the artefact or an image is not the one that was recorded.
    """
    key = layout.test_set_scores(test_set_id, stored.sha256)
    kept = _kept_scores(stored.store, key, rows)
    if kept is not None:
        log.info("scores of %s on test set %s are kept", stored.sha256[:12], test_set_id)
        return kept
    probability = score_images(stored.model, read_images(stored.store, rows)).astype(np.float64)
    if len(probability) != len(rows):
        raise BadData(
            "the artefact did not score every image",
            where=stored.key,
            found=f"{len(probability)} of {len(rows)}",
        )
    table = pd.DataFrame({"sha256": rows["sha256"].to_numpy(), "probability": probability})
    stored.store.put(key, table.to_parquet(index=False))
    return probability


def read_images(store: ObjectStore, rows: pd.DataFrame) -> Iterator[Grey]:
    """The decoded images of ``rows`` in order, fetched a few at a time, each digest checked."""

    def fetch(wanted: tuple[str, str]) -> Grey:
        key, digest = wanted
        return decode_grey(store.read_verified(key, digest))

    wanted = list(zip(rows["key"], rows["sha256"], strict=True))
    for start in range(0, len(wanted), _FETCHED_AT_ONCE):
        yield from read_many(fetch, wanted[start : start + _FETCHED_AT_ONCE])


def _kept_scores(store: ObjectStore, key: str, rows: pd.DataFrame) -> Scores | None:
    try:
        table = pd.read_parquet(io.BytesIO(store.read(key)))
    except ObjectMissing:
        return None
    by_image = table.drop_duplicates("sha256").set_index("sha256")["probability"]
    found = by_image.reindex(rows["sha256"])
    return None if found.isna().any() else found.to_numpy(np.float64)
