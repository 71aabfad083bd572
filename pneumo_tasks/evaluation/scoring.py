"""A stored artefact on the locked test images; a film that an evaluation has scored is not scored again."""

import logging
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from pneumo_tasks.errors import BadData, FinalError
from pneumo_tasks.evaluation.figures.metrics import Scores
from pneumo_tasks.evaluation.record import read_named_scores
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.films import read_films
from pneumo_tasks.training.model.artefact import Answers, ask, load_artefact

log = logging.getLogger(__name__)

_FETCHED_AT_ONCE = 32


class StoredModel:
    """An artefact in the bucket, fetched and loaded when first needed, its digest checked.

    A context: the local copy goes with it. CorruptArtefact where the bytes are not ``sha256``.
    """

    def __init__(self, store: ObjectStore, key: str, sha256: str) -> None:
        self.store, self.key, self.sha256 = store, key, sha256
        self._fetched: Path | None = None
        self._loaded: Any = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pneumo-")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def fetch(self) -> Path:
        """The local copy; it is downloaded once."""
        if self._fetched is None:
            path = Path(self._folder.name) / "model.keras"
            self.store.download(self.key, path, self.sha256)
            self._fetched = path
        return self._fetched

    def load(self) -> Any:
        """The Keras model; it is loaded once."""
        if self._loaded is None:
            self._loaded = load_artefact(self.fetch())
        return self._loaded


def score_on_test_set(
    settings: Settings, stored: StoredModel, rows: pd.DataFrame, known: "pd.Series[float] | None" = None
) -> Scores:
    """Probability of PNEUMONIA for each of ``rows``, in their order, from the artefact itself.

    ``known`` are scores by sha256 of the film that this artefact gave before, with their proof: a champion
    is asked only about films that are new. CorruptArtefact where the artefact or an image is another.
    """
    found = pd.Series(np.nan, rows["sha256"]) if known is None else known.reindex(rows["sha256"])
    probability: Scores = np.array(found, np.float64)
    missing = found.isna().to_numpy()
    log.info("%s: %d films scored before, %d now", stored.sha256[:12], sum(~missing), sum(missing))
    if missing.any():
        probability[missing] = ask_about(settings, stored, rows[missing]).probability
    return probability


def ask_about(settings: Settings, stored: StoredModel, rows: pd.DataFrame) -> Answers:
    """What the artefact itself says of each of ``rows``, in order, and which it brought to its frame."""
    answers = ask(stored.load(), read_images(settings, stored.store, rows))
    if len(answers.probability) != len(rows):
        raise BadData(
            "the artefact did not score every image",
            where=stored.key,
            found=f"{len(answers.probability)} of {len(rows)}",
        )
    return answers


def scored_before(store: ObjectStore, run_id: str, digest: str) -> "pd.Series[float] | None":
    """The scores by film that the evaluation of ``run_id`` gave its own candidate, if ``digest`` proves them.

    None where they cannot be used: then every film is scored again.
    """
    if not digest:
        return None
    try:
        table = read_named_scores(store, run_id, digest)
    except FinalError as error:
        log.warning("the scores of run %s are not used: %s", run_id, error)
        return None
    return table.drop_duplicates("sha256").set_index("sha256")["probability"]


def read_images(settings: Settings, store: ObjectStore, rows: pd.DataFrame) -> Iterator[Grey]:
    """The decoded images of ``rows`` in order, as training reads them: the same limits, the same errors."""
    return chain.from_iterable(read_films(settings, store, rows, _FETCHED_AT_ONCE))
