"""Fitting: epochs over cached features, judged by the validation patients alone."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from pneumo_tasks.training.examples import Examples, score, shuffled, stream
from pneumo_tasks.training.recipes import Stage

log = logging.getLogger(__name__)

SELECTION = "highest validation AUC to 4 digits, then lowest validation loss; epoch 0 is the start"


@dataclass(frozen=True)
class Fit:
    """What an epoch loop did; the model holds the weights of ``best_epoch`` when it returns."""

    epochs: list[dict[str, float]]
    best_epoch: int

    def history(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "best_epoch": self.best_epoch, "selection": SELECTION}


def fit(name: str, model: Any, stage: Stage, train: Examples, validation: Examples, seed: int) -> Fit:
    """Train ``model`` as the stage's solver does; it holds the best weights afterwards."""
    return SOLVERS[stage.solver](name, model, stage, train, validation, seed)


def descend(name: str, model: Any, stage: Stage, train: Examples, validation: Examples, seed: int) -> Fit:
    """Train ``model`` (its trainable layers) for the epochs of ``stage`` and keep the best weights.

    The same model, examples and seed give the same weights on the same hardware. Epoch 0, the
    weights as given, counts when choosing the best: training may not make a model worse.
    """
    import keras

    optimizer = keras.optimizers.RMSprop(stage.rate)
    model.compile(optimizer=optimizer, loss="binary_crossentropy")
    epochs = [judge(score(model, validation), validation) | {"epoch": 0, "seconds": 0.0}]
    best_epoch, best = 0, model.get_weights()
    for epoch in range(1, stage.epochs + 1):
        started = time.monotonic()
        optimizer.learning_rate = rate_of(stage, epoch)
        data = stream(train, shuffled(train, seed, epoch), stage.batch)
        loss = model.fit(data, verbose=0, shuffle=False).history["loss"][-1]
        record = {"epoch": epoch, "loss": float(loss), **judge(score(model, validation), validation)}
        epochs.append(record | {"seconds": round(time.monotonic() - started, 3)})
        _tell(name, stage, epochs[-1])
        if _rank(record) < _rank(epochs[best_epoch]):
            best_epoch, best = epoch, model.get_weights()
        if stage.patience is not None and epoch - best_epoch >= stage.patience:
            log.info("%s: no better validation for %d epochs, stopped", name, stage.patience)
            break
    model.set_weights(best)
    log.info("%s: epoch %d chosen, validation AUC %.4f", name, best_epoch, epochs[best_epoch]["val_auc"])
    return Fit(epochs, best_epoch)


def rate_of(stage: Stage, epoch: int) -> float:
    """The learning rate of an epoch (1 is the first); cosine falls to a tenth in the last epoch."""
    if stage.decay == "constant" or stage.epochs == 1:
        return stage.rate
    progress = (epoch - 1) / (stage.epochs - 1)
    return stage.rate * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


def judge(probabilities: NDArray[np.float32], validation: Examples) -> dict[str, float]:
    """Unweighted loss and AUC, and recall and specificity at 0.5, on the validation examples."""
    positive = validation.labels == 1
    called = probabilities >= 0.5
    return {
        "val_loss": float(log_loss(positive, np.clip(probabilities.astype(float), 1e-7, 1 - 1e-7))),
        "val_auc": float(roc_auc_score(positive, probabilities)),
        "val_recall": float(called[positive].mean()),
        "val_specificity": float((~called[~positive]).mean()),
    }


def _rank(record: dict[str, float]) -> tuple[float, float]:
    return -round(record["val_auc"], 4), record["val_loss"]


def _tell(name: str, stage: Stage, record: dict[str, float]) -> None:
    epoch = int(record["epoch"])
    log.info("%s: epoch %d/%d  loss %.4f  val loss %.4f  val AUC %.4f  %.1f s  ETA %.0f s", name, epoch,
             stage.epochs, record["loss"], record["val_loss"], record["val_auc"], record["seconds"],
             record["seconds"] * (stage.epochs - epoch))  # fmt: skip


SOLVERS: dict[str, Callable[[str, Any, Stage, Examples, Examples, int], Fit]] = {"gradient": descend}
