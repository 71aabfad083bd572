"""What one recipe of a comparison is worth: on held-out films, and on the test set where it is opened."""

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.snapshots import test_rows
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.evaluation.figures.metrics import Metrics, compute_metrics
from pneumo_tasks.evaluation.figures.operating_point import point_for_test_set
from pneumo_tasks.evaluation.looks import record_films, record_look
from pneumo_tasks.evaluation.scoring import StoredModel, score_on_test_set
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.export.held_out_scores import read_held_out_scores


class ComparedRecipe(BaseModel):
    """One line of the table. ``trainable_parameters`` are of the last stage that was trained.

    ``test`` is None unless the test set was opened.
    """

    model_config = ConfigDict(frozen=True)

    recipe: str
    run_id: str
    class_weights: str
    augmentation: str
    trainable_parameters: int
    epochs: dict[str, int]
    seconds: dict[str, float]
    validation: Metrics
    test: Metrics | None


def describe_recipe(
    settings: Settings, store: ObjectStore, run_id: str, seconds: dict[str, float]
) -> ComparedRecipe:
    """The line of a recipe whose candidate was exported, with its figures on held-out films."""
    candidate, scores = read_candidate(store, run_id), read_held_out_scores(store, run_id)
    ill = snapshot_summary(store, candidate.snapshot_id).test_films(LABELS[1])
    point = point_for_test_set(settings, scores, ill)
    trained = candidate.trainable_parameters
    return ComparedRecipe(
        recipe=settings.recipe,
        run_id=run_id,
        class_weights=settings.class_weights,
        augmentation=candidate.augmentation,
        trainable_parameters=trained["fine_tune"] or trained["head"],
        epochs=candidate.epochs,
        seconds=seconds,
        validation=point.validation,
        test=None,
    )


def open_test_set_for(
    settings: Settings, store: ObjectStore, snapshot_id: str, test_set_id: str, row: ComparedRecipe
) -> ComparedRecipe:
    """The line with the figures on the locked test set: a look, and counted as one."""
    candidate = read_candidate(store, row.run_id)
    record_look(store, test_set_id, row.run_id, "candidate", candidate.sha256)
    rows = test_rows(store, snapshot_id)
    record_films(store, test_set_id, rows["sha256"])
    positive = (rows["label"] == "PNEUMONIA").to_numpy(bool)
    key = layout.run(row.run_id, "candidate.keras")
    with StoredModel(store, key, candidate.sha256) as stored:
        probability = score_on_test_set(settings, stored, rows)
    test = compute_metrics(positive, probability, row.validation.threshold)
    return row.model_copy(update={"test": test})
