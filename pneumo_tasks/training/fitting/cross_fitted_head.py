"""The cross-fitted head of a run: fitted on every fold's rest, written down with its out-of-fold scores."""

import io
import logging
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from pneumo_tasks.dataset.splits import VALIDATION_FOLD
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import LABELS
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.cross_fitting import (
    CrossFit,
    LinearHead,
    block_folds,
    by_image,
    cross_fit,
    probability_of_films,
)
from pneumo_tasks.training.fitting.workplace import Workplace, load_weights, save_weights
from pneumo_tasks.training.model.heads import LOGIT
from pneumo_tasks.training.model.network import Network

log = logging.getLogger(__name__)

OUT_OF_FOLD, HELD_OUT = "head/out_of_fold.parquet", "head/held_out.npz"
SELECTION = "the unique optimum of each fold's rest; exported: the mean of those heads"


def train_cross_fitted(place: Workplace) -> dict[str, Any]:
    """Fit the heads; the network then holds their mean. Returns the stage's history.

    Writes head/out_of_fold.parquet, and head/held_out.npz: the head that never saw the validation
    split, which fine-tuning starts from so that it can be judged there.
    """
    started = time.monotonic()
    stage, rows = place.recipe.head, place.rows
    examples = place.every_example(stage.cuts)
    (features,) = examples.features(np.arange(len(examples)))
    facts = {}
    table = rows[["sha256", "patient", "label", "fold"]].reset_index(drop=True)
    blocks = block_folds(table["patient"], place.settings.folds)
    found: dict[str, CrossFit] = {}
    for name, folds in (("probability", table["fold"].to_numpy()), ("block_probability", blocks)):
        of_image = dict(zip(table["sha256"], folds, strict=True))
        fit = cross_fit(features, examples.labels, examples.weights, by_image(examples, of_image),
                        stage.inverse_penalty)  # fmt: skip
        scores = probability_of_films(examples, fit.logits)
        table[name] = scores.reindex(table["sha256"]).to_numpy(np.float64)
        found[name] = fit
        facts[name] = _judged(table["label"] == LABELS[1], table[name])
    write_out_of_fold(place, table)
    fit = found["probability"]
    put_head(place.network, fit.heads.get(VALIDATION_FOLD, fit.mean))
    save_weights(place.store, layout.run(place.run_id, HELD_OUT), place.network)
    put_head(place.network, fit.mean)
    log.info("cross-fitted heads: %d examples, out of fold %s", len(examples), facts["probability"])
    return {
        "epochs": [],
        "best_epoch": 0,
        "selection": SELECTION,
        "cross_fitting": {
            "folds": len(fit.heads),
            "films": len(table),
            "examples": len(examples),
            "inverse_penalty": stage.inverse_penalty,
            "patient_folds": facts["probability"],
            "block_folds": facts["block_probability"],
            "seconds": round(time.monotonic() - started, 3),
        },
    }


def read_out_of_fold(store: ObjectStore, run_id: str) -> pd.DataFrame:
    """sha256, patient, label, fold, ``probability``, and that of folds of neighbours, of every film."""
    return pd.read_parquet(io.BytesIO(store.read(layout.run(run_id, OUT_OF_FOLD))))


def write_out_of_fold(place: Workplace, table: pd.DataFrame) -> None:
    place.store.put(layout.run(place.run_id, OUT_OF_FOLD), table.to_parquet(index=False))


def load_held_out(place: Workplace) -> None:
    """Put the head that never saw the validation split into the network."""
    load_weights(place.store, layout.run(place.run_id, HELD_OUT), place.network)


def put_head(network: Network, head: LinearHead) -> None:
    """Make the network's linear layer this head."""
    try:
        layer = network.whole.get_layer(LOGIT)
    except ValueError:
        raise BadConfiguration(
            f"recipe {network.recipe.name!r}: only a linear head can be cross-fitted",
            found=f"head_kind {network.recipe.head_kind!r}",
        ) from None
    layer.set_weights([head.kernel[:, None].astype(np.float32), np.array([head.bias], np.float32)])


def _judged(ill: "pd.Series[bool]", probability: "pd.Series[float]") -> dict[str, float]:
    clipped = np.clip(probability, 1e-7, 1 - 1e-7)
    return {"auc": float(roc_auc_score(ill, probability)), "log_loss": float(log_loss(ill, clipped))}
