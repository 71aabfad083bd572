"""The evaluation of a candidate: what its artefact does on the locked test set."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pneumo_tasks import journal
from pneumo_tasks.dataset.snapshots import test_rows
from pneumo_tasks.dataset.summary import SnapshotSummary, snapshot_summary
from pneumo_tasks.evaluation.calibration import measure_calibration, stated_values
from pneumo_tasks.evaluation.comparison import ChampionRef, Comparison, against_trivial
from pneumo_tasks.evaluation.evidence import Evaluated, Evaluation
from pneumo_tasks.evaluation.explanations import FLIPS, explain, worst_misses
from pneumo_tasks.evaluation.figures import bootstrap
from pneumo_tasks.evaluation.figures.clustering import patients_of_each_class
from pneumo_tasks.evaluation.figures.gaps import slice_gaps
from pneumo_tasks.evaluation.figures.intervals import intervals
from pneumo_tasks.evaluation.figures.metrics import (
    Labels,
    Scores,
    compute_metrics,
)
from pneumo_tasks.evaluation.figures.operating_point import OperatingPoint, point_for_test_set
from pneumo_tasks.evaluation.figures.slices import BROUGHT, NOT_BROUGHT, Slice, slice_figures
from pneumo_tasks.evaluation.frame_shift import measure_frame_shift
from pneumo_tasks.evaluation.independence import Overlap, find_overlap
from pneumo_tasks.evaluation.looks import count_looks, measure_exposure, record_films, record_look
from pneumo_tasks.evaluation.opponents import Against, Opponents, resample_scores
from pneumo_tasks.evaluation.probes.occlusion import Occlusion, measure_occlusion, probe_sample
from pneumo_tasks.evaluation.probes.shift import ShiftFact, batch_drift
from pneumo_tasks.evaluation.record import Recorded, keep_candidate, read_test_scores, write_evaluation
from pneumo_tasks.evaluation.scoring import StoredModel, ask_about, read_images
from pneumo_tasks.evaluation.serving import ServingCheck, check_serving, remember, remembered
from pneumo_tasks.intake.records.accepted import accepted_verdicts
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.training.export.candidate import Candidate, read_candidate
from pneumo_tasks.training.export.held_out_scores import read_held_out_scores
from pneumo_tasks.training.model.artefact import score_images

log = logging.getLogger(__name__)

_KEPT_COLUMNS = (
    *("sha256", "key", "file", "label", "patient", "family", "batch_id", "width", "height"),
    *("grey_mean", "site", "view", "age_band", "sex", "device", "pixel_digest"),
    *("month", "laterality", "priority"),
)
_SERVED_FILMS = 8


def evaluate_candidate(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    snapshot_id: str,
    champion: ChampionRef | None,
) -> Evaluated:
    """Measure the exported artefact of ``run_id``, and the champion, on the same test images.

    Writes runs/<run>/test_scores.parquet and evaluation.json (last). The only caller of ``test_rows``.
    """
    test = _open(settings, store, run_id, snapshot_id)
    rows, test_set_id, point = test.rows, test.summary.test_set_id, test.point
    scores = rows[[name for name in _KEPT_COLUMNS if name in rows]].copy()
    with StoredModel(store, layout.run(run_id, "candidate.keras"), test.candidate.sha256) as stored:
        answers = ask_about(settings, stored, rows)
        probability: Scores = answers.probability.astype(np.float64)
        serving = _serving(settings, stored, rows, probability)
        occlusion = _occlusion(settings, stored, rows, probability)
        scores["probability"] = probability
        scores["called"] = probability >= point.threshold
        resampled = resample_scores(settings, scores, point)
        against = Against(settings, store, run_id, test_set_id, scores, point, resampled)
        versus = against.measure(champion, "champion_probability")
        if settings.report_images:
            _write_explanations(settings, stored, run_id, scores, versus)
    original = against.measure(champion and champion.original, "original_probability")
    opponents = Opponents(versus, original, against.measure_rivals(champion))
    told = replace(test, aligned=answers.aligned)
    evaluation = told.evaluation(scores, resampled, opponents, serving, occlusion)
    return _told(write_evaluation(store, evaluation, scores))


def _open(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> "_OpenedTest":
    """Open the locked test set for the candidate of a run, and count the look at it first."""
    candidate = read_candidate(store, run_id)
    summary_sha256 = sha256(store.read(layout.dataset(snapshot_id, "summary.json")))
    summary = snapshot_summary(store, snapshot_id, summary_sha256)
    ill = summary.test_films(LABELS[1])
    point = point_for_test_set(settings, read_held_out_scores(store, run_id), ill)
    record_look(store, summary.test_set_id, run_id, "candidate", candidate.sha256)
    rows = test_rows(store, snapshot_id, summary_sha256).sort_values("sha256", ignore_index=True)
    record_films(store, summary.test_set_id, rows["sha256"])
    return _OpenedTest(settings, store, candidate, summary, summary_sha256, point, rows)


@dataclass(frozen=True)
class _OpenedTest:
    """The candidate of a run, its operating point, and the films that it is judged on.

    ``aligned`` says which of them it brought to its frame; None where it has none, or was not asked yet.
    """

    settings: Settings
    store: ObjectStore
    candidate: Candidate
    summary: SnapshotSummary
    summary_sha256: str
    point: OperatingPoint
    rows: pd.DataFrame
    aligned: Labels | None = None

    def evaluation(
        self,
        scores: pd.DataFrame,
        resampled: bootstrap.Resampled,
        opponents: Opponents,
        serving: ServingCheck,
        occlusion: Occlusion,
    ) -> Evaluation:
        settings, candidate, summary, point = self.settings, self.candidate, self.summary, self.point
        positive = (self.rows["label"] == "PNEUMONIA").to_numpy(bool)
        probability, called = scores["probability"].to_numpy(np.float64), scores["called"].to_numpy(bool)
        test = compute_metrics(positive, probability, point.threshold)
        trivial = compute_metrics(positive, np.ones(len(self.rows)), 0.5)
        slices = self.slices(called, resampled)
        return Evaluation(
            run_id=candidate.run_id,
            version=model_version(candidate, point),
            sha256=candidate.sha256,
            recipe=candidate.recipe,
            snapshot_id=summary.snapshot_id,
            test_set_id=summary.test_set_id,
            patients=resampled.patients,
            test_patients=patients_of_each_class(scores),
            operating_point=point,
            test=test,
            intervals=intervals(test, resampled.replicates, resampled.worst),
            trivial=trivial,
            trivial_differences=against_trivial(positive, test, called, trivial, resampled),
            calibration=measure_calibration(positive, probability, point.temperature),
            predictive_values=stated_values(settings, test),
            slices=slices,
            gaps=slice_gaps(slices, settings.slice_min_images),
            champion=opponents.champion,
            original=opponents.original,
            rivals=opponents.rivals,
            serving=serving,
            occlusion=occlusion,
            independence=summary.checks,
            overlap=self.overlap(scores),
            shift=_shift(settings, self.store, summary, self.rows),
            looks=count_looks(self.store, summary.test_set_id),
            exposure=measure_exposure(self.store, summary.test_set_id),
            resamples=settings.resamples,
            seed=settings.seed,
            synthetic=summary.synthetic or candidate.synthetic,
            random_backbone=candidate.backbone.random,
            evaluated_at=journal.now(),
            candidate=keep_candidate(self.store, candidate),
            snapshot_sha256=self.summary_sha256,
        )

    def slices(self, called: Labels, resampled: bootstrap.Resampled) -> list[Slice]:
        least = self.settings.slice_min_images
        rows = self.rows
        if self.aligned is not None:
            rows = rows.assign(frame=np.where(self.aligned, BROUGHT, NOT_BROUGHT))
        return slice_figures(rows, called, resampled.codes, resampled.draws, least)

    def overlap(self, scores: pd.DataFrame) -> Overlap:
        candidate, by_site = self.candidate, self.settings.patient_site
        digest = self.summary_sha256 if candidate.snapshot_id == self.summary.snapshot_id else ""
        return find_overlap(self.store, candidate.snapshot_id, scores, by_site, digest)[1]


def compare_again(
    settings: Settings, store: ObjectStore, evaluation: Evaluation, champion: ChampionRef | None
) -> Recorded:
    """The same measurements of the candidate beside another champion, as a new revision.

    Cheap: the candidate is not scored again, and the champion only where its scores are not kept.
    """
    scores, point = read_test_scores(store, evaluation), evaluation.operating_point
    resampled = resample_scores(settings, scores, point)
    against = Against(settings, store, evaluation.run_id, evaluation.test_set_id, scores, point, resampled)
    renewed = evaluation.model_copy(
        update={
            "champion": against.measure(champion, "champion_probability"),
            "original": against.measure(champion and champion.original, "original_probability"),
            "rivals": against.measure_rivals(champion),
        }
    )
    return write_evaluation(store, renewed, scores)


def model_version(candidate: Candidate, point: OperatingPoint) -> str:
    """The candidate's version with a digest of its operating point.

    The same weights with another threshold give other verdicts, so they are another version.
    """
    return f"{candidate.version}-{sha256(canonical_json(point.model_dump()))[:6]}"


def _serving(
    settings: Settings, stored: StoredModel, rows: pd.DataFrame, probability: Scores
) -> ServingCheck:
    """The check in a fresh process."""
    if known := remembered(stored.sha256):
        return known
    chosen = rows.iloc[:: max(1, len(rows) // _SERVED_FILMS)].head(_SERVED_FILMS)
    films = zip(chosen.index, read_images(settings, stored.store, chosen), strict=True)
    found = check_serving(stored.fetch(), {str(i): (film, float(probability[i])) for i, film in films})
    remember(stored.sha256, found)
    return found


def _shift(
    settings: Settings, store: ObjectStore, summary: SnapshotSummary, rows: pd.DataFrame
) -> list[ShiftFact]:
    batches = [str(batch["batch_id"]) for batch in summary.batches]
    return [
        *batch_drift(accepted_verdicts(store), batches),
        *measure_frame_shift(settings, store, summary.snapshot_id, rows),
    ]


def _occlusion(settings: Settings, stored: StoredModel, rows: pd.DataFrame, probability: Scores) -> Occlusion:
    sample = probe_sample(rows)
    return measure_occlusion(
        lambda films: score_images(stored.load(), films),
        sample,
        read_images(settings, stored.store, sample),
        probability[sample.index.to_numpy()],
    )


def _write_explanations(
    settings: Settings, stored: StoredModel, run_id: str, scores: pd.DataFrame, versus: Comparison | None
) -> None:
    """Pictures for the report, made here where the model is at hand."""
    flips = versus.flips[:FLIPS] if versus else []
    wanted = {*worst_misses(scores)["sha256"], *(flip.sha256 for flip in flips)}
    shown = scores[scores["sha256"].isin(wanted)].drop_duplicates("sha256")
    if shown.empty:
        return
    films = list(zip(shown["sha256"], read_images(settings, stored.store, shown), strict=True))
    pictures = explain(stored.load(), films)
    stored.store.put_json(
        layout.run(run_id, "explanations.json"), [picture.model_dump() for picture in pictures]
    )


def _told(recorded: Recorded) -> Evaluated:
    """What travels on: the document, and the figures that people look at first."""
    evaluation, test = recorded.evaluation, recorded.evaluation.test
    log.info("test: recall %s, precision %s, AUC %s", test.recall, test.precision, test.auc)
    return Evaluated(
        **(recorded.document.model_dump() if recorded.document else {}),
        version=evaluation.version,
        images=test.images,
        recall=test.recall,
        precision=test.precision,
        auc=test.auc,
        champion=evaluation.champion and evaluation.champion.version,
    )
