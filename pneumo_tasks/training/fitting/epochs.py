"""Fitting: epochs over cached features, judged by the validation patients alone."""

import dataclasses
import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.examples import Examples, drawn_from_films, score, shuffled, stream
from pneumo_tasks.training.fitting.checkpoints import Arrays, Checkpoint, Checkpoints, fingerprint_of
from pneumo_tasks.training.fitting.event_log import write_event_log
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.recipe import Stage

log = logging.getLogger(__name__)

SELECTION = "highest validation AUC to 4 digits, then lowest validation loss; epoch 0 is the start"
LAST = "the last epoch, whatever validation says"

_WEIGHT_DECAY = 0.01  # of AdamW


@dataclass(frozen=True)
class Fit:
    """What an epoch loop did; the model holds the weights of ``best_epoch`` when it returns."""

    epochs: list[dict[str, float]]
    best_epoch: int
    selection: str = SELECTION

    def history(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "best_epoch": self.best_epoch, "selection": self.selection}


@dataclass(frozen=True)
class Training:
    """What is trained, on what, and where it is written down.

    ``name`` is the stage's folder in the run, ``precision`` what features and training compute in.
    """

    name: str
    model: Any
    stage: Stage
    train: Examples
    validation: Examples
    seed: int
    store: ObjectStore | None = None
    run_id: str = ""
    precision: str = ""


def fit_stage(place: Workplace, name: str, stage: Stage) -> Fit:
    """Train what the stage says on the training split of ``place``, judged on its validation split."""
    train, validation = (place.examples(split, stage.cuts) for split in ("train", "validation"))
    if stage.a_film is not None:  # how often each class is drawn weighs it already
        train = dataclasses.replace(train, weights=np.ones_like(train.weights))
    with place.hardware.scope():
        model = place.network.thawed(stage)
        log.info("%s: %d parameters, %d examples to train on, %d to validate on, class weights %s", name,
                 place.network.trainable_parameters(), len(train), len(validation),
                 place.class_weights)  # fmt: skip
        seed, precision = place.settings.seed, place.precision
        training = Training(name, model, stage, train, validation, seed, place.store, place.run_id, precision)
        return fit(training)


def fit(training: Training) -> Fit:
    """Train the model's trainable layers for the epochs of the stage and keep the best weights.

    The same model, examples and seed give the same weights on the same hardware, also where the
    process was killed and another goes on from the last epoch's checkpoint. Epoch 0, the weights as
    given, counts when choosing the best: training may not make a model worse.
    """
    import keras

    model, stage = training.model, training.stage
    checkpoints = _checkpoints(training)
    optimizer = _optimizer(stage)
    model.compile(optimizer=optimizer, loss=keras.losses.BinaryCrossentropy(label_smoothing=stage.smoothing))
    optimizer.build(model.trainable_variables)
    state = checkpoints.newest() if checkpoints else None
    if state is None:
        first = judge(score(model, training.validation), training.validation)
        state = _state(model, optimizer, [first | {"epoch": 0, "seconds": 0.0}], 0, model.get_weights())
    else:
        log.info("%s: resumed after epoch %d", training.name, state.epoch)
        _restore(model, optimizer, state)
    while state.epoch < stage.epochs and not _is_over(stage, state):
        state = _epoch(training, optimizer, state)
        if checkpoints:
            checkpoints.save(state)
            write_event_log(checkpoints.store, checkpoints.run_id, training.name, state.records)
    if state.epoch < stage.epochs:
        log.info("%s: no better validation for %s epochs, stopped", training.name, stage.patience)
    model.set_weights(state.best)
    best = state.records[state.best_epoch]
    log.info("%s: epoch %d chosen, validation AUC %.4f", training.name, state.best_epoch, best["val_auc"])
    return Fit(state.records, state.best_epoch, LAST if stage.keeps == "last" else SELECTION)


def _optimizer(stage: Stage) -> Any:
    import keras

    if stage.optimizer == "AdamW":
        return keras.optimizers.AdamW(stage.rate, weight_decay=_WEIGHT_DECAY)
    return keras.optimizers.RMSprop(stage.rate)


def _epoch(training: Training, optimizer: Any, before: Checkpoint) -> Checkpoint:
    """One epoch more: its order and its rate follow from its number, the rest from the state before."""
    model, epoch, started = training.model, before.epoch + 1, time.monotonic()
    optimizer.learning_rate = rate_of(training.stage, epoch)
    a_film = training.stage.a_film
    order = (
        shuffled(training.train, training.seed, epoch)
        if a_film is None
        else drawn_from_films(training.train, training.seed, epoch, a_film)
    )
    data = stream(training.train, order, training.stage.batch)
    loss = model.fit(data, verbose=0, shuffle=False).history["loss"][-1]
    judged = judge(score(model, training.validation), training.validation)
    record = {"epoch": epoch, "loss": float(loss), **judged, "seconds": round(time.monotonic() - started, 3)}
    _tell(training, record)
    records = [*before.records, record]
    if training.stage.keeps == "last" or _rank(record) < _rank(records[before.best_epoch]):
        return _state(model, optimizer, records, epoch, model.get_weights())
    return _state(model, optimizer, records, before.best_epoch, before.best)


def _checkpoints(training: Training) -> Checkpoints | None:
    if training.store is None:
        return None
    fingerprint = fingerprint_of(
        training.model, training.stage, training.train, training.validation, training.seed, training.precision
    )
    return Checkpoints(training.store, training.run_id, training.name, fingerprint)


def _state(
    model: Any, optimizer: Any, records: list[dict[str, float]], best_epoch: int, best: Arrays
) -> Checkpoint:
    variables = [variable.numpy() for variable in _variables(model)]
    return Checkpoint(records, best_epoch, variables, [v.numpy() for v in optimizer.variables], best)


def _restore(model: Any, optimizer: Any, state: Checkpoint) -> None:
    pairs = [(_variables(model), state.variables), (optimizer.variables, state.optimizer)]
    for variables, values in pairs:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _variables(model: Any) -> list[Any]:
    """Weights, moving statistics and the states of the dropout generators, layer by layer."""
    return [variable for layer in model.layers for variable in layer.variables]


def _is_over(stage: Stage, state: Checkpoint) -> bool:
    return stage.patience is not None and state.epoch - state.best_epoch >= stage.patience


def rate_of(stage: Stage, epoch: int) -> float:
    """The learning rate of an epoch (1 is the first).

    "cosine" falls to a tenth in the last epoch; "cosine to 0" is that of the middle of the epoch, on its way
    to 0 at the end of the last.
    """
    if stage.decay == "cosine to 0":
        return stage.rate * (1 + math.cos(math.pi * (epoch - 0.5) / stage.epochs)) / 2
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


def _tell(training: Training, record: dict[str, float]) -> None:
    epoch = int(record["epoch"])
    log.info("%s: epoch %d/%d  loss %.4f  val loss %.4f  val AUC %.4f  %.1f s  ETA %.0f s", training.name,
             epoch, training.stage.epochs, record["loss"], record["val_loss"], record["val_auc"],
             record["seconds"], record["seconds"] * (training.stage.epochs - epoch))  # fmt: skip
