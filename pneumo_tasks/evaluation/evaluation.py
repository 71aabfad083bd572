"""The evaluation of a candidate: what its artefact does on the locked test set."""

import io
import logging
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal, layout
from pneumo_tasks.dataset.snapshots import snapshot_summary, test_rows
from pneumo_tasks.evaluation.comparison import ChampionRef
from pneumo_tasks.evaluation.looks import count_looks, record_look
from pneumo_tasks.evaluation.metrics import Labels, Metrics, compute_metrics
from pneumo_tasks.evaluation.operating_point import OperatingPoint, choose_operating_point
from pneumo_tasks.evaluation.scoring import score_artefact
from pneumo_tasks.object_store import ObjectStore, canonical_json, sha256
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.candidate import Candidate, read_candidate

log = logging.getLogger(__name__)

_SCORE_COLUMNS = ["sha256", "key", "file", "label", "patient", "family", "batch_id", "width", "height"]


class ChampionEvaluation(BaseModel):
    """The champion on the same test images, at its own threshold."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    run_id: str
    test: Metrics


class Evaluation(BaseModel):
    """All the evidence a decision is made from."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    version: str
    sha256: str
    recipe: str
    snapshot_id: str
    test_set_id: str
    operating_point: OperatingPoint
    test: Metrics
    champion: ChampionEvaluation | None
    looks: int
    synthetic: bool
    random_backbone: bool
    evaluated_at: str


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
    point = choose_operating_point(*_validation_scores(store, run_id), settings.target_recall)
    version = model_version(candidate, point)

    record_look(store, summary.test_set_id, run_id, "candidate", candidate.sha256)
    rows = test_rows(store, snapshot_id).sort_values("sha256", ignore_index=True)
    positive = (rows["label"] == "PNEUMONIA").to_numpy(bool)
    scores = rows[[name for name in _SCORE_COLUMNS if name in rows]].copy()
    scores["probability"] = score_artefact(
        store, rows, summary.test_set_id, layout.run(run_id, "candidate.keras"), candidate.sha256
    )
    scores["called"] = scores["probability"] >= point.threshold
    champion_evaluation = None
    if champion is not None:
        record_look(store, summary.test_set_id, run_id, "champion", champion.sha256)
        key = layout.model(champion.version, "model.keras")
        scores["champion_probability"] = score_artefact(
            store, rows, summary.test_set_id, key, champion.sha256
        )
        scores["champion_called"] = scores["champion_probability"] >= champion.threshold
        champion_evaluation = ChampionEvaluation(
            version=champion.version,
            sha256=champion.sha256,
            run_id=champion.run_id,
            test=compute_metrics(
                positive, scores["champion_probability"].to_numpy(np.float64), champion.threshold
            ),
        )
    evaluation = Evaluation(
        run_id=run_id,
        version=version,
        sha256=candidate.sha256,
        recipe=candidate.recipe,
        snapshot_id=snapshot_id,
        test_set_id=summary.test_set_id,
        operating_point=point,
        test=compute_metrics(positive, scores["probability"].to_numpy(np.float64), point.threshold),
        champion=champion_evaluation,
        looks=count_looks(store, summary.test_set_id),
        synthetic=summary.synthetic or candidate.synthetic,
        random_backbone=candidate.backbone.random,
        evaluated_at=journal.now(),
    )
    return _write(store, evaluation, scores)


def model_version(candidate: Candidate, point: OperatingPoint) -> str:
    """The candidate's version with a digest of its operating point.

    The same weights with another threshold give other verdicts, so they are another version.
    """
    return f"{candidate.version}-{sha256(canonical_json(point.model_dump()))[:6]}"


def read_evaluation(store: ObjectStore, run_id: str) -> Evaluation:
    return Evaluation.model_validate(store.read_json(layout.run(run_id, "evaluation.json")))


def read_test_scores(store: ObjectStore, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(store.read(layout.run(run_id, "test_scores.parquet"))))


def _validation_scores(store: ObjectStore, run_id: str) -> tuple[Labels, Any]:
    key = layout.run(run_id, "fine_tune/validation_scores.parquet")
    table = pd.read_parquet(io.BytesIO(store.read(key)))
    return (table["label"] == "PNEUMONIA").to_numpy(bool), table["probability"].to_numpy(np.float64)


def _write(store: ObjectStore, evaluation: Evaluation, scores: pd.DataFrame) -> dict[str, Any]:
    store.put(layout.run(evaluation.run_id, "test_scores.parquet"), scores.to_parquet(index=False))
    key, document = layout.run(evaluation.run_id, "evaluation.json"), evaluation.model_dump(mode="json")
    store.put_json(key, document)
    test = evaluation.test
    log.info("test: recall %s, precision %s, AUC %s", test.recall, test.precision, test.auc)
    return {
        "key": key,
        "sha256": sha256(canonical_json(document)),
        "version": evaluation.version,
        "images": test.images,
        "recall": test.recall,
        "precision": test.precision,
        "auc": test.auc,
        "champion": evaluation.champion and evaluation.champion.version,
    }
