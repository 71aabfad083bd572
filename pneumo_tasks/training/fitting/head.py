"""The head: trained on what the frozen backbone says, from cached features."""

import time
from typing import Any

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.cross_fitted_head import train_cross_fitted
from pneumo_tasks.training.fitting.epochs import fit_stage
from pneumo_tasks.training.fitting.workplace import Workplace, load_weights, prepare, save_weights

WEIGHTS, HISTORY = "head/weights.npz", "head/history.json"


def train_head(settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str) -> dict[str, Any]:
    """Train the head of the settings' recipe and keep its best weights with the run.

    Writes runs/<run>/head/weights.npz, then history.json. The same snapshot, recipe and seed give
    the same weights on the same hardware; a retry goes on after the last epoch that was finished.
    """
    started = time.monotonic()
    place = prepare(settings, store, run_id, snapshot_id)
    stage = place.recipe.head
    if place.recipe.cross_fitted:
        history = train_cross_fitted(place) | place.facts(stage)
        save_weights(store, layout.run(run_id, WEIGHTS), place.network)
        store.put_json(layout.run(run_id, HISTORY), history)
        judged = history["cross_fitting"]
        return {
            "epochs": 0,
            "best_epoch": 0,
            "val_auc": judged["patient_folds"]["auc"],
            "seconds": round(time.monotonic() - started, 3),
        }
    result = fit_stage(place, "head", stage)
    save_weights(store, layout.run(run_id, WEIGHTS), place.network)
    store.put_json(layout.run(run_id, HISTORY), {**result.history(), **place.facts(stage)})
    best = result.epochs[result.best_epoch]
    return {
        "epochs": len(result.epochs) - 1,
        "best_epoch": result.best_epoch,
        "val_auc": best["val_auc"],
        "seconds": round(time.monotonic() - started, 3),
    }


def load_head(place: Workplace) -> dict[str, Any]:
    """Put the trained head of the run into the network; returns its history."""
    history: dict[str, Any] = place.store.read_json(layout.run(place.run_id, HISTORY))
    load_weights(place.store, layout.run(place.run_id, WEIGHTS), place.network)
    return history
