"""The stage that trains the head, on what the frozen backbone says, from cached features."""

import time

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.strategies import strategy_of
from pneumo_tasks.training.fitting.weights import HEAD_HISTORY, HEAD_WEIGHTS, save_weights
from pneumo_tasks.training.fitting.workplace import prepare


class TrainedHead(BaseModel):
    """``epochs`` and ``best_epoch`` are 0 for a head that is solved; ``val_auc`` is of held-out films."""

    model_config = ConfigDict(frozen=True)

    epochs: int
    best_epoch: int
    val_auc: float
    seconds: float
    digests: dict[str, str] = {}


def train_head(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> TrainedHead:
    """Train the head of the settings' recipe and keep its best weights with the run.

    Writes runs/<run>/head/weights.npz, then history.json. The same snapshot, recipe and seed give
    the same weights on the same hardware; a retry goes on after the last epoch that was finished.
    """
    started = time.monotonic()
    place = prepare(settings, store, run_id, snapshot_id)
    trained = strategy_of(place.recipe).train(place)
    save_weights(store, layout.run(run_id, HEAD_WEIGHTS), place.network)
    store.put_json(layout.run(run_id, HEAD_HISTORY), trained.history | place.facts(place.recipe.head))
    return TrainedHead(
        epochs=trained.epochs,
        best_epoch=trained.best_epoch,
        val_auc=trained.val_auc,
        seconds=round(time.monotonic() - started, 3),
    )
