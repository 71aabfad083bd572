import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.evaluation.kept_features import score_kept_features
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.export.candidate import Candidate, read_candidate, weights_digest
from pneumo_tasks.training.export.exporting import export_candidate
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.films import read_image
from pneumo_tasks.training.fitting.fine_tuning import fine_tune
from pneumo_tasks.training.fitting.head import train_head
from pneumo_tasks.training.model.artefact import load_artefact, score_images
from tests.training.conftest import RUN, SNAPSHOT, write_snapshot

FRESH_PROCESS = """
import sys, numpy as np, keras
model = keras.models.load_model(sys.argv[1], safe_mode=True)
image = np.random.default_rng(0).integers(0, 256, (1, 70, 61, 1), dtype=np.uint8)
print(float(model.predict_on_batch(image)[0, 0]))
assert not any(name.startswith("pneumo") for name in sys.modules)
"""


def _train(settings: Settings, store: ObjectStore, run_id: str = RUN) -> Candidate:
    for shard in ("shard0", "shard1"):
        extract_features(settings, store, SNAPSHOT, shard)
    train_head(settings, store, run_id, SNAPSHOT)
    fine_tune(settings, store, run_id, SNAPSHOT)
    export_candidate(settings, store, run_id, SNAPSHOT)
    return read_candidate(store, run_id)


def test_the_exported_file_is_the_trained_model(small: Settings, store: ObjectStore, tmp_path: Path) -> None:
    rows = write_snapshot(store)
    candidate = _train(small, store)
    body = store.read(layout.run(RUN, "candidate.keras"))
    assert candidate.sha256 == sha256(body)
    assert candidate.backbone.random
    assert candidate.synthetic
    assert candidate.trainable_parameters["fine_tune"] > 7_000_000

    path = tmp_path / "model.keras"
    path.write_bytes(body)
    model = load_artefact(path)
    assert weights_digest(model) == candidate.weights_sha256
    scores = pd.read_parquet(io.BytesIO(store.read(layout.run(RUN, "held_out_scores.parquet"))))
    validation = rows[rows["split"] == "validation"]
    assert list(scores["sha256"]) == list(validation["sha256"])
    images = [
        read_image(small, store, key, digest) for key, digest in validation[["key", "sha256"]].to_numpy()
    ]
    np.testing.assert_allclose(score_images(model, images), scores["probability"], atol=1e-4)
    kept = score_kept_features(small, store, candidate, model, validation.assign(snapshot=SNAPSHOT))
    np.testing.assert_allclose(kept, scores["probability"], atol=1e-4)
    other = small.model_copy(update={"recipe": "vgg16-standard-frame"})  # what it extracts is something else
    assert score_kept_features(other, store, candidate, model, validation.assign(snapshot=SNAPSHOT)) is None
    new = validation.assign(snapshot=SNAPSHOT, sha256="0" * 64)  # films without features
    assert score_kept_features(small, store, candidate, model, new) is None

    image = np.random.default_rng(0).integers(0, 256, (1, 70, 61, 1), dtype=np.uint8)
    shown = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert float(shown.stdout.split()[-1]) == pytest.approx(
        float(model.predict_on_batch(image)[0, 0]), abs=1e-5
    )


def test_the_same_seed_gives_the_same_file(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, run_id="again")
    write_snapshot(store)
    first, second = _train(small, store), _train(small, store, "again")
    assert first.sha256 == second.sha256
    assert first.version == second.version
    other = small.model_copy(update={"seed": 8})
    assert _train(other, store).weights_sha256 != first.weights_sha256


def test_a_recipe_without_fine_tuning_exports_the_head(
    small: Settings, store: ObjectStore, small_recipe
) -> None:
    small_recipe("small-head", "article-vgg16-head")
    write_snapshot(store)
    candidate = _train(small.model_copy(update={"recipe": "small-head"}), store)
    assert candidate.epochs["fine_tune"] == 0
    assert store.read_json(layout.run(RUN, "fine_tune/history.json"))["epochs"] == []


def test_a_recipe_may_train_everything_from_the_framed_films(
    small: Settings, store: ObjectStore, small_recipe
) -> None:
    small_recipe("small-all", "article-vgg16-all")
    write_snapshot(store, images=16)
    settings = small.model_copy(update={"recipe": "small-all", "head_epochs": 1})
    candidate = _train(settings, store)
    assert candidate.trainable_parameters["head"] > 14_700_000
    assert (candidate.parity or 0) <= 1e-4
    records = store.read_json(layout.run(RUN, "head/history.json"))["epochs"]
    assert records[1]["val_loss"] != records[0]["val_loss"]
