"""Opponents: the other models that a candidate is compared with, on films that they have not seen."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pneumo_tasks.evaluation.comparison import ChampionRef, Comparison, compare
from pneumo_tasks.evaluation.figures import bootstrap
from pneumo_tasks.evaluation.figures.operating_point import OperatingPoint
from pneumo_tasks.evaluation.independence import find_overlap
from pneumo_tasks.evaluation.looks import record_look
from pneumo_tasks.evaluation.scoring import StoredModel, score_on_test_set, scored_before
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


@dataclass(frozen=True)
class Opponents:
    """What the candidate was compared with."""

    champion: Comparison | None
    original: Comparison | None
    rivals: list[Comparison]


@dataclass(frozen=True)
class Against:
    """Measures other models on the candidate's test images and resamples; adds their scores.

    A film that the other model was trained on says nothing about it: it has no score here, and both
    models are compared on the others alone.
    """

    settings: Settings
    store: ObjectStore
    run_id: str
    test_set_id: str
    scores: pd.DataFrame
    point: OperatingPoint
    resampled: bootstrap.Resampled

    def measure(self, other: ChampionRef | None, column: str) -> Comparison | None:
        if other is None:
            return None
        record_look(self.store, self.test_set_id, self.run_id, "champion", other.sha256)
        with StoredModel(self.store, layout.model(other.version, "model.keras"), other.sha256) as rival:
            before = scored_before(self.store, other.run_id, other.scores_sha256)
            probability = score_on_test_set(self.settings, rival, self.scores, before)
        by_site, digest = self.settings.patient_site, other.snapshot_sha256
        seen, overlap = find_overlap(self.store, other.snapshot_id, self.scores, by_site, digest)
        self.scores[column] = np.where(seen, np.nan, probability)
        shared, resampled = self.scores, self.resampled
        if seen.any():
            shared, probability = self.scores[~seen], probability[~seen]
            resampled = resample_scores(self.settings, shared, self.point) if len(shared) else resampled
        found = compare(shared, other, probability, self.point.threshold, resampled)
        return found.model_copy(update={"overlap": overlap})

    def measure_rivals(self, champion: ChampionRef | None) -> list[Comparison]:
        rivals = enumerate(champion.rivals if champion else ())
        found = (self.measure(rival, f"rival_{place}_probability") for place, rival in rivals)
        return [comparison for comparison in found if comparison is not None]


def resample_scores(settings: Settings, scores: pd.DataFrame, point: OperatingPoint) -> bootstrap.Resampled:
    """Replicates of every figure over patients, with the seed of the settings."""
    positive = (scores["label"] == "PNEUMONIA").to_numpy(bool)
    probability = scores["probability"].to_numpy(np.float64)
    return bootstrap.resample(
        scores["patient"], positive, probability, point.threshold, settings.resamples, settings.seed
    )
