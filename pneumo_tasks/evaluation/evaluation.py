"""The evaluation of a candidate: what its artefact does on the locked test set."""

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks import journal
from pneumo_tasks.dataset.snapshots import SnapshotSummary, snapshot_summary, test_rows
from pneumo_tasks.evaluation import bootstrap
from pneumo_tasks.evaluation.clustering import patients_of_each_class
from pneumo_tasks.evaluation.comparison import ChampionRef, Comparison, against_trivial, compare
from pneumo_tasks.evaluation.evidence import Calibration, CalibrationBin, Evaluation, PredictiveValues
from pneumo_tasks.evaluation.explanations import FLIPS, explain, worst_misses
from pneumo_tasks.evaluation.frame_shift import measure_frame_shift
from pneumo_tasks.evaluation.intervals import intervals
from pneumo_tasks.evaluation.looks import count_looks, measure_exposure, record_films, record_look
from pneumo_tasks.evaluation.metrics import (
    Labels,
    Metrics,
    Scores,
    calibration_bin,
    calibration_error,
    compute_metrics,
    predictive_values,
)
from pneumo_tasks.evaluation.operating_point import OperatingPoint, calibrated, choose_operating_point
from pneumo_tasks.evaluation.probes import Occlusion, measure_occlusion, probe_sample
from pneumo_tasks.evaluation.revisions import revise
from pneumo_tasks.evaluation.scoring import StoredModel, read_images, score_on_test_set
from pneumo_tasks.evaluation.serving import ServingCheck, check_serving, kept_check
from pneumo_tasks.evaluation.shift import ShiftFact, batch_drift
from pneumo_tasks.evaluation.slices import slice_figures
from pneumo_tasks.intake.accepted import accepted_verdicts
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.training.export.candidate import Candidate, read_candidate
from pneumo_tasks.training.model.artefact import score_images

log = logging.getLogger(__name__)

_KEPT_COLUMNS = (
    *("sha256", "key", "file", "label", "patient", "family", "batch_id", "width", "height"),
    *("grey_mean", "site", "view"),
)
_SERVED_FILMS = 8


def evaluate_candidate(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    snapshot_id: str,
    champion: ChampionRef | None,
) -> dict[str, Any]:
    """Measure the exported artefact of ``run_id``, and the champion, on the same test images.

    Writes runs/<run>/test_scores.parquet and evaluation.json (last); returns its key, digest and
    headline figures. The only caller of ``test_rows``.
    """
    candidate = read_candidate(store, run_id)
    summary = snapshot_summary(store, snapshot_id)
    point = choose_operating_point(settings, *_validation_scores(store, run_id))

    record_look(store, summary.test_set_id, run_id, "candidate", candidate.sha256)
    rows = test_rows(store, snapshot_id).sort_values("sha256", ignore_index=True)
    record_films(store, summary.test_set_id, rows["sha256"])
    positive = (rows["label"] == "PNEUMONIA").to_numpy(bool)
    scores = rows[[name for name in _KEPT_COLUMNS if name in rows]].copy()
    with StoredModel(store, layout.run(run_id, "candidate.keras"), candidate.sha256) as stored:
        probability = score_on_test_set(stored, rows, summary.test_set_id)
        serving = _serving(stored, rows, probability, summary.test_set_id)
        occlusion = _occlusion(stored, rows, probability)
        scores["probability"] = probability
        scores["called"] = called = probability >= point.threshold
        resampled = _resample(settings, scores, point)
        test = compute_metrics(positive, probability, point.threshold)
        trivial = compute_metrics(positive, np.ones(len(rows)), 0.5)
        against = _Against(store, run_id, summary.test_set_id, scores, point, resampled)
        versus = against.measure(champion, "champion_probability")
        if settings.report_images:
            _write_explanations(stored, run_id, scores, versus)
    evaluation = Evaluation(
        run_id=run_id,
        version=model_version(candidate, point),
        sha256=candidate.sha256,
        recipe=candidate.recipe,
        snapshot_id=snapshot_id,
        test_set_id=summary.test_set_id,
        patients=resampled.patients,
        test_patients=patients_of_each_class(scores),
        operating_point=point,
        test=test,
        intervals=intervals(test, resampled.replicates, resampled.worst),
        trivial=trivial,
        trivial_differences=against_trivial(positive, test, called, trivial, resampled),
        calibration=_calibration(positive, probability, point.temperature),
        predictive_values=_predictive_values(settings, test),
        slices=slice_figures(rows, called, resampled.codes, resampled.draws, settings.slice_min_images),
        champion=versus,
        original=against.measure(champion and champion.original, "original_probability"),
        serving=serving,
        occlusion=occlusion,
        independence=summary.checks,
        shift=_shift(settings, store, summary, rows),
        looks=count_looks(store, summary.test_set_id),
        exposure=measure_exposure(store, summary.test_set_id),
        resamples=settings.resamples,
        seed=settings.seed,
        synthetic=summary.synthetic or candidate.synthetic,
        random_backbone=candidate.backbone.random,
        evaluated_at=journal.now(),
    )
    return _write(store, evaluation, scores)


def compare_again(
    settings: Settings, store: ObjectStore, evaluation: Evaluation, champion: ChampionRef | None
) -> Evaluation:
    """The same measurements of the candidate beside another champion, as a new revision.

    Cheap: the candidate is not scored again, and the champion only where its scores are not kept.
    """
    scores, point = read_test_scores(store, evaluation.run_id), evaluation.operating_point
    resampled = _resample(settings, scores, point)
    against = _Against(store, evaluation.run_id, evaluation.test_set_id, scores, point, resampled)
    renewed = evaluation.model_copy(
        update={
            "champion": against.measure(champion, "champion_probability"),
            "original": against.measure(champion and champion.original, "original_probability"),
        }
    )
    _write(store, renewed, scores)
    return renewed


@dataclass(frozen=True)
class _Against:
    """Measures other models on the candidate's test images and resamples; adds their scores."""

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
            probability = score_on_test_set(rival, self.scores, self.test_set_id)
        self.scores[column] = probability
        return compare(self.scores, other, probability, self.point.threshold, self.resampled)


def model_version(candidate: Candidate, point: OperatingPoint) -> str:
    """The candidate's version with a digest of its operating point.

    The same weights with another threshold give other verdicts, so they are another version.
    """
    return f"{candidate.version}-{sha256(canonical_json(point.model_dump()))[:6]}"


def read_evaluation(store: ObjectStore, run_id: str) -> Evaluation:
    return Evaluation.model_validate(store.read_json(layout.run(run_id, "evaluation.json")))


def read_test_scores(store: ObjectStore, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(store.read(layout.run(run_id, "test_scores.parquet"))))


def _validation_scores(store: ObjectStore, run_id: str) -> tuple[Labels, Scores]:
    key = layout.run(run_id, "fine_tune/validation_scores.parquet")
    table = pd.read_parquet(io.BytesIO(store.read(key)))
    return (table["label"] == "PNEUMONIA").to_numpy(bool), table["probability"].to_numpy(np.float64)


def _resample(settings: Settings, scores: pd.DataFrame, point: OperatingPoint) -> bootstrap.Resampled:
    positive = (scores["label"] == "PNEUMONIA").to_numpy(bool)
    probability = scores["probability"].to_numpy(np.float64)
    return bootstrap.resample(
        scores["patient"], positive, probability, point.threshold, settings.resamples, settings.seed
    )


def _serving(stored: StoredModel, rows: pd.DataFrame, probability: Scores, test_set_id: str) -> ServingCheck:
    """The check in a fresh process, kept by (model sha256, test set) like the scores."""
    key = layout.test_set_serving(test_set_id, stored.sha256)
    if kept := kept_check(stored.store, key):
        return kept
    chosen = rows.iloc[:: max(1, len(rows) // _SERVED_FILMS)].head(_SERVED_FILMS)
    films = zip(chosen.index, read_images(stored.store, chosen), strict=True)
    found = check_serving(stored.path, {str(i): (film, float(probability[i])) for i, film in films})
    stored.store.put_json(key, found.model_dump(mode="json"))
    return found


def _shift(
    settings: Settings, store: ObjectStore, summary: SnapshotSummary, rows: pd.DataFrame
) -> list[ShiftFact]:
    batches = [str(batch["batch_id"]) for batch in summary.batches]
    return [
        *batch_drift(accepted_verdicts(store), batches),
        *measure_frame_shift(settings, store, summary.snapshot_id, rows),
    ]


def _occlusion(stored: StoredModel, rows: pd.DataFrame, probability: Scores) -> Occlusion:
    sample = probe_sample(rows)
    return measure_occlusion(
        lambda films: score_images(stored.model, films),
        sample,
        read_images(stored.store, sample),
        probability[sample.index.to_numpy()],
    )


def _calibration(positive: Labels, probability: Scores, temperature: float) -> Calibration | None:
    if not np.isfinite(probability).all():
        return None
    adjusted = calibrated(probability, temperature)
    places: NDArray[np.intp] = calibration_bin(adjusted)
    return Calibration(
        temperature=temperature,
        brier=float(np.mean((adjusted - positive) ** 2)),
        error=calibration_error(positive, adjusted),
        bins=[
            CalibrationBin(
                images=int((places == place).sum()),
                predicted=float(adjusted[places == place].mean()),
                observed=float(positive[places == place].mean()),
            )
            for place in np.unique(places)
        ],
    )


def _predictive_values(settings: Settings, test: Metrics) -> list[PredictiveValues]:
    if test.recall is None or test.specificity is None:
        return []
    stated = []
    for percent in map(float, settings.prevalences.split(",")):
        ppv, npv = predictive_values(test.recall, test.specificity, percent / 100)
        stated.append(PredictiveValues(prevalence=percent / 100, positive=ppv, negative=npv))
    return stated


def _write_explanations(
    stored: StoredModel, run_id: str, scores: pd.DataFrame, versus: Comparison | None
) -> None:
    """Pictures for the report, made here where the model is at hand."""
    flips = versus.flips[:FLIPS] if versus else []
    wanted = {*worst_misses(scores)["sha256"], *(flip.sha256 for flip in flips)}
    shown = scores[scores["sha256"].isin(wanted)].drop_duplicates("sha256")
    if shown.empty:
        return
    films = list(zip(shown["sha256"], read_images(stored.store, shown), strict=True))
    pictures = explain(stored.model, films)
    stored.store.put_json(
        layout.run(run_id, "explanations.json"), [picture.model_dump() for picture in pictures]
    )


def _write(store: ObjectStore, evaluation: Evaluation, scores: pd.DataFrame) -> dict[str, Any]:
    store.put(layout.run(evaluation.run_id, "test_scores.parquet"), scores.to_parquet(index=False))
    written = revise(store, evaluation.run_id, "evaluation", evaluation.model_dump(mode="json"))
    test = evaluation.test
    log.info("test: recall %s, precision %s, AUC %s", test.recall, test.precision, test.auc)
    return {
        "key": written.key,
        "sha256": written.sha256,
        "version": evaluation.version,
        "images": test.images,
        "recall": test.recall,
        "precision": test.precision,
        "auc": test.auc,
        "champion": evaluation.champion and evaluation.champion.version,
    }
