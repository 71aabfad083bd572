"""The article's way of training, as a reader of the article would write it: the whole network every epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

BATCH, SIDE = 32, 150
STEPS = 6  # timed steps; the first ones, which trace and warm up, are not counted
ROUNDS = 3


@dataclass(frozen=True)
class StepTimes:
    """Seconds a batch of 32: training the head, block5_conv3 or all of block5 with it, and validation."""

    head: float
    conv3: float
    block5: float
    validation: float


def link_folders(films: pd.DataFrame, folder: Path) -> None:
    """The folders that ``image_dataset_from_directory`` reads: <split>/<label>/<film>."""
    for film in films.itertuples():
        target = folder / film.split / film.label / f"{film.sha256}.jpeg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(film.path)


def datasets(folder: Path, seed: int = 7) -> tuple[Any, Any]:
    import keras

    return tuple(  # type: ignore[return-value]
        keras.utils.image_dataset_from_directory(
            folder / split,
            label_mode="binary",
            batch_size=BATCH,
            image_size=(SIDE, SIDE),
            shuffle=split == "train",
            seed=seed,
            verbose=False,
        ).prefetch(2)
        for split in ("train", "validation")
    )


def build(weights: str) -> Any:
    """VGG16 without top, the article's head on it, in float32."""
    import keras

    path = None if weights == "random" else weights
    base = keras.applications.VGG16(weights=path, include_top=False, input_shape=(SIDE, SIDE, 3))
    base.trainable = False
    film = keras.Input((SIDE, SIDE, 3))
    features = base(keras.applications.vgg16.preprocess_input(film))
    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(features))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dropout(0.33)(hidden))
    return keras.Model(film, keras.layers.Dense(1, activation="sigmoid")(hidden))


def thaw(model: Any, prefix: str) -> None:
    base = next(layer for layer in model.layers if layer.name.startswith("vgg16"))
    base.trainable = True
    for layer in base.layers:
        layer.trainable = bool(prefix) and layer.name.startswith(prefix)


def compile_at(model: Any, rate: float) -> None:
    import keras

    model.compile(optimizer=keras.optimizers.RMSprop(rate), loss="binary_crossentropy", metrics=["AUC"])


def measure_steps(folder: Path, weights: str) -> StepTimes:
    """Time a few steps of each kind, files read and decoded as the article's code does; the best of ROUNDS.

    The best, because a scheduler that puts both of its threads on one core doubles a time now and then.
    """
    train, validation = datasets(folder)
    model = build(weights)
    times = {}
    for name, prefix in (("head", ""), ("conv3", "block5_conv3"), ("block5", "block5")):
        thaw(model, prefix)
        compile_at(model, 1e-5)
        times[name] = _seconds_a_step(lambda data: model.fit(data, verbose=0), train)
    validating = _seconds_a_step(lambda data: model.evaluate(data, verbose=0), validation)
    return StepTimes(**times, validation=validating)


def _seconds_a_step(run: Callable[[Any], Any], data: Any) -> float:
    run(data.take(2))
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run(data.take(STEPS))
        seconds.append(time.perf_counter() - started)
    return min(seconds) / min(STEPS, len(data))


def train_whole(folder: Path, weights: str, head_epochs: int, conv3_epochs: int) -> tuple[float, float]:
    """Really train the article's recipe; (validation AUC at the end, seconds)."""
    import keras

    keras.utils.set_random_seed(7)
    train, validation = datasets(folder)
    model, started = build(weights), time.perf_counter()
    for prefix, rate, epochs in (("", 1e-4, head_epochs), ("block5_conv3", 1e-5, conv3_epochs)):
        thaw(model, prefix)
        compile_at(model, rate)
        model.fit(train, validation_data=validation, epochs=epochs, verbose=0)
    labels = [float(label) for _, batch in validation for label in batch.numpy().reshape(-1)]
    from sklearn.metrics import roc_auc_score

    scores = model.predict(validation, verbose=0).reshape(-1)
    return float(roc_auc_score(labels, scores)), time.perf_counter() - started
