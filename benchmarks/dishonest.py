"""The article's own protocol: every training film, and the epoch that does best on the test films.

Not an estimate of anything. It is here so that its figure can be read beside the honest ones.
"""

from typing import Any

import numpy as np
import pandas as pd

from pneumo_tasks.dataset.snapshots import test_rows
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.evaluation.figures.metrics import compute_metrics
from pneumo_tasks.evaluation.looks import record_look
from pneumo_tasks.evaluation.scoring import read_images
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.features.examples import shuffled, stream
from pneumo_tasks.training.fitting.workplace import Workplace, prepare
from pneumo_tasks.training.model.artefact import chunks
from pneumo_tasks.training.model.network import INPUT
from pneumo_tasks.training.recipe import Stage


def train_dishonestly(
    settings: Settings, store: ObjectStore, run_id: str, snapshot_id: str
) -> dict[str, Any]:
    """Train the settings' recipe on all training films, look at the test set after each epoch, keep the best.

    Counts as one look, of a model that nobody may promote; ``looks`` says how many it really were.
    """
    summary = snapshot_summary(store, snapshot_id)
    record_look(store, summary.test_set_id, run_id, "candidate", sha256(run_id.encode()))
    place, rows = prepare(settings, store, run_id, snapshot_id), test_rows(store, snapshot_id)
    ill = (rows["label"] == LABELS[1]).to_numpy(bool)
    epochs: list[dict[str, Any]] = []
    for name, stage in zip(("head", "fine_tune"), place.recipe.stages, strict=False):
        tested = _test_features(place, stage, rows)
        for epoch, scores in enumerate(_epochs(place, stage, tested), 1):
            found = compute_metrics(ill, scores, 0.5)
            epochs.append({"stage": name, "epoch": epoch, "metrics": found.model_dump(mode="json")})
    best = max(epochs, key=lambda epoch: epoch["metrics"]["accuracy"])
    return {
        "protocol": "DISHONEST: the epoch with the best test accuracy, threshold .5",
        "recipe": place.recipe.name,
        "seed": settings.seed,
        "looks": len(epochs),
        "best": best,
        "last": epochs[-1],
    }


def _epochs(place: Workplace, stage: Stage, tested: list[Any]) -> Any:
    import keras

    model, examples = place.network.thawed(stage), place.every_example(stage.cuts)
    model.compile(optimizer=keras.optimizers.RMSprop(stage.rate), loss="binary_crossentropy")
    for epoch in range(1, stage.epochs + 1):
        order = shuffled(examples, place.settings.seed, epoch)
        model.fit(stream(examples, order, stage.batch), verbose=0, shuffle=False)
        yield model.predict(tested if len(tested) > 1 else tested[0], verbose=0)[:, 0].astype(np.float64)


def _test_features(place: Workplace, stage: Stage, rows: pd.DataFrame) -> list[Any]:
    frozen, parts = place.network.part((INPUT,), *stage.cuts), []
    for films in chunks(read_images(place.settings, place.store, rows)):
        answer = frozen.predict_on_batch(np.stack(films)[..., None])
        parts.append(answer if isinstance(answer, list) else [answer])
    return [np.concatenate(cut) for cut in zip(*parts, strict=True)]
