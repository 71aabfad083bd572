"""A head that is cross-fitted: solved on every fold's rest, written down with its out-of-fold scores."""

import io
import logging
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from pneumo_tasks.dataset.splits import VALIDATION_FOLD
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import LABELS
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.examples import Examples
from pneumo_tasks.training.fitting.cross_fitting import (
    CrossFit,
    LinearHead,
    block_folds,
    by_image,
    cross_fit,
    probability_of_films,
)
from pneumo_tasks.training.fitting.epochs import fit_stage
from pneumo_tasks.training.fitting.head_strategy import Trained, Tuned, validation_table
from pneumo_tasks.training.fitting.stage_choice import choose_stage, score_reframed
from pneumo_tasks.training.fitting.weights import load_weights, save_weights
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.model.heads import LOGIT
from pneumo_tasks.training.model.network import Network
from pneumo_tasks.training.recipe import CrossFitting, Exports, Stage

log = logging.getLogger(__name__)

OUT_OF_FOLD, HELD_OUT = "head/out_of_fold.parquet", "head/held_out.npz"
SELECTION = "the unique optimum of each fold's rest; exported: the mean of those heads"


@dataclass(frozen=True)
class CrossFittedHead:
    """Every film of the snapshot is trained on, and judged by the one head that was not fitted on it."""

    head: CrossFitting

    def train(self, place: Workplace) -> Trained:
        """Solve the heads; the network then holds their mean.

        Writes head/out_of_fold.parquet, and head/held_out.npz: the head that never saw the validation
        split, which fine-tuning starts from so that it can be judged there.
        """
        started = time.monotonic()
        examples = place.every_example(self.head.cuts)
        (features,) = examples.features(np.arange(len(examples)))
        solved = partial(_solved, examples, features, self.head.inverse_penalty)
        table = place.rows[["sha256", "patient", "label", "fold"]].reset_index(drop=True)
        fit = solved(table, "probability", table["fold"].to_numpy())
        solved(table, "block_probability", block_folds(table["patient"], place.settings.folds))
        write_out_of_fold(place, table)
        put_head(place.network, fit.heads.get(VALIDATION_FOLD, fit.mean))
        save_weights(place.store, layout.run(place.run_id, HELD_OUT), place.network)
        put_head(place.network, fit.mean)
        ill = table["label"] == LABELS[1]
        patient_folds = _judged(ill, table["probability"])
        judged = {
            "folds": len(fit.heads),
            "films": len(table),
            "examples": len(examples),
            "inverse_penalty": self.head.inverse_penalty,
            "patient_folds": patient_folds,
            "block_folds": _judged(ill, table["block_probability"]),
            "seconds": round(time.monotonic() - started, 3),
        }
        auc = patient_folds["auc"]
        log.info("cross-fitted heads: %d examples, AUC out of fold %.4f", len(examples), auc)
        history = {"epochs": [], "best_epoch": 0, "selection": SELECTION, "cross_fitting": judged}
        return Trained(history, 0, 0, auc)

    def fine_tune(self, place: Workplace, stage: Stage) -> Tuned:
        """Train the second network; it, or the mean of both, is exported only where that is better.

        The head is judged as the one that validation was held out of. BadConfiguration where the recipe
        makes one network alone: there would be no mean of two.
        """
        if not place.recipe.two_networks:
            raise BadConfiguration(
                f"recipe {place.recipe.name!r}: a cross-fitted head is fine-tuned beside it, not from it",
                do="Let the stage start from the backbone's weights: starts='backbone'.",
            )
        head = place.answering("head")
        self.load_held_out(head)
        before = score_reframed(head)
        fit = fit_stage(place, "fine_tune", stage)
        validation = place.rows.loc[place.rows["split"] == "validation", "sha256"]
        held_out = read_out_of_fold(place.store, place.run_id).set_index("sha256")["probability"]
        choice = choose_stage(
            place,
            held_out.loc[validation].to_numpy(np.float64),
            place.validation_scores(place.network).astype(np.float64),
            before,
            score_reframed(place),
        )
        log.info("stages: %s", choice)
        return Tuned(fit, choice.exported, {"choice": choice.model_dump(mode="json")})

    def load_held_out(self, place: Workplace) -> None:
        """Put the head that never saw the validation split into the network."""
        load_weights(place.store, layout.run(place.run_id, HELD_OUT), place.network)

    def held_out_scores(
        self, place: Workplace, exports: Exports, probabilities: NDArray[np.float32]
    ) -> pd.DataFrame:
        """Every film's score from the head of the other folds; else those of validation films."""
        if exports == "head":
            return read_out_of_fold(place.store, place.run_id)
        return validation_table(place, probabilities)


def _solved(
    examples: Examples,
    features: NDArray[np.float32],
    inverse_penalty: float,
    table: pd.DataFrame,
    column: str,
    folds: NDArray[np.int64],
) -> CrossFit:
    """Cross-fit over ``folds`` of the films of ``table``; their scores become its ``column``."""
    of_image = by_image(examples, dict(zip(table["sha256"], folds, strict=True)))
    fit = cross_fit(features, examples.labels, examples.weights, of_image, inverse_penalty)
    scores = probability_of_films(examples, fit.logits)
    table[column] = scores.reindex(table["sha256"]).to_numpy(np.float64)
    return fit


def read_out_of_fold(store: ObjectStore, run_id: str) -> pd.DataFrame:
    """sha256, patient, label, fold, ``probability``, and that of folds of neighbours, of every film."""
    return pd.read_parquet(io.BytesIO(store.read(layout.run(run_id, OUT_OF_FOLD))))


def write_out_of_fold(place: Workplace, table: pd.DataFrame) -> None:
    place.store.put(layout.run(place.run_id, OUT_OF_FOLD), table.to_parquet(index=False))


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
