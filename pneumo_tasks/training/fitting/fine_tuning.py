"""The stage that fine-tunes: the last block at a small rate, from cached features and the head's weights."""

import time

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.epochs import Fit
from pneumo_tasks.training.fitting.head_strategy import Tuned
from pneumo_tasks.training.fitting.strategies import strategy_of
from pneumo_tasks.training.fitting.weights import TUNED_HISTORY, TUNED_WEIGHTS, load_head, save_weights
from pneumo_tasks.training.fitting.workplace import prepare
from pneumo_tasks.training.recipe import Exports, Stage
from pneumo_tasks.training.recipes import chosen_recipe


class FineTuned(BaseModel):
    """``exports`` says what the run exports: the head, the fine-tuned network, or the mean of both.

    ``val_auc`` is None where the recipe fine-tunes nothing.
    """

    model_config = ConfigDict(frozen=True)

    epochs: int
    best_epoch: int
    val_auc: float | None
    exports: Exports
    seconds: float
    digests: dict[str, str] = {}


def fine_tune(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> FineTuned:
    """Fine-tune what the recipe says, from where its stage starts.

    Writes fine_tune/weights.npz where the run exports more than the head, and, last, fine_tune/history.json.
    A recipe without fine-tuning gets a history without epochs.
    """
    started = time.monotonic()
    stage = chosen_recipe(settings).fine_tuning
    if stage is None:
        tuned = Tuned(Fit([], 0), "head", {})
    else:
        tuned = _tuned(settings, store, run_id, snapshot_id, stage)
    fit = tuned.fit
    history = {**fit.history(), **tuned.facts, "exports": tuned.exports}
    store.put_json(layout.run(run_id, TUNED_HISTORY), history)
    return FineTuned(
        epochs=max(0, len(fit.epochs) - 1),
        best_epoch=fit.best_epoch,
        val_auc=fit.epochs[fit.best_epoch]["val_auc"] if fit.epochs else None,
        exports=tuned.exports,
        seconds=round(time.monotonic() - started, 3),
    )


def _tuned(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str, stage: Stage) -> Tuned:
    place = prepare(settings, store, run_id, snapshot_id)
    load_head(place)
    place = place.answering("fine_tuned")
    tuned = strategy_of(place.recipe).fine_tune(place, stage)
    if tuned.exports != "head":
        exported = place.network.answering(tuned.exports)
        exported.thaw(stage)
        save_weights(store, layout.run(run_id, TUNED_WEIGHTS), exported)
    return Tuned(tuned.fit, tuned.exports, place.facts(stage) | tuned.facts)
