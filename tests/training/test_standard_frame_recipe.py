"""The default recipe on small drawn films; tests/dags runs it whole, with ONNX and a fresh process."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.evaluation.kept_features import score_kept_features
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.export.exporting import export_candidate
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.films import read_image
from pneumo_tasks.training.fitting.cross_fitted_head import put_head
from pneumo_tasks.training.fitting.cross_fitting import LinearHead
from pneumo_tasks.training.fitting.fine_tuning import fine_tune
from pneumo_tasks.training.fitting.head import train_head
from pneumo_tasks.training.fitting.workplace import prepare
from pneumo_tasks.training.framing import views as framing
from pneumo_tasks.training.framing.frames import CORE, SQUASH
from pneumo_tasks.training.framing.standard_frame import UNALIGNED, standard_view
from pneumo_tasks.training.model.artefact import ask, load_artefact, score_images
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import Recipe
from tests.training.aligned import chests
from tests.training.conftest import RUN, SNAPSHOT, write_snapshot


@pytest.fixture
def standard(
    small: Settings, small_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The default recipe at 48 pixels; its alignment takes two steps, which changes no law tested here."""
    small_recipe("small-standard", "vgg16-standard-frame")
    template = np.stack(chests(2)[0]).mean(0)[::4, ::4].astype(np.float32)
    aligned = dataclasses.replace(standard_view(template, rounds=(1, 1)), varied=False)
    squash = dataclasses.replace(SQUASH, varied=False)
    monkeypatch.setitem(framing.FRAMES, "combined", lambda *_: (aligned, squash, CORE))
    return small.model_copy(update={"recipe": "small-standard"})


def test_the_file_says_of_all_views_what_the_cached_path_says(
    standard: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    rows = write_snapshot(store, images=30, shards=1)
    assert extract_features(standard, store, SNAPSHOT, "shard0").computed == 120
    assert extract_features(standard, store, SNAPSHOT, "shard0").computed == 0
    train_head(standard, store, RUN, SNAPSHOT)
    fine_tune(standard, store, RUN, SNAPSHOT)
    export_candidate(standard, store, RUN, SNAPSHOT)
    candidate = read_candidate(store, RUN)
    assert set(candidate.frame) == {"standard", "squash", "core"}
    assert (candidate.parity or 0) < 1e-4

    scores = pd.read_parquet(io.BytesIO(store.read(layout.run(RUN, "held_out_scores.parquet"))))
    assert sorted(scores["sha256"]) == sorted(rows["sha256"])  # every film, each judged where it was held out
    judged = store.read_json(layout.run(RUN, "head/history.json"))["cross_fitting"]
    assert (judged["folds"], judged["films"], judged["examples"]) == (5, 30, 120)
    assert judged["patient_folds"]["auc"] == pytest.approx(
        roc_auc_score(scores["label"] == "PNEUMONIA", scores["probability"])
    )

    import keras

    place = prepare(standard, store, RUN, SNAPSHOT)
    assert (
        list(place.every_example(("pooled",)).variant) == [0] * 90 + [1] * 30
    )  # the film's core alone is cut
    assert set(place.examples("validation", ("pooled",)).variant) == {0}

    path = tmp_path / "model.keras"
    path.write_bytes(store.read(layout.run(RUN, "candidate.keras")))
    films = [
        read_image(standard, store, key, digest) for key, digest in rows[["key", "sha256"]].to_numpy()[:6]
    ]
    keras.utils.clear_session()  # names start again, as in the fresh process that `pneumo predict` is
    model = load_artefact(path)
    found = ask(model, films)
    logit = keras_part(model, "head_logit").predict_on_batch(np.stack(films[1:4])[..., None])
    mean = logit.reshape(3, 3).mean(0)
    np.testing.assert_allclose(found.probability[1:4], 1 / (1 + np.exp(-mean)), atol=1e-6)
    assert found.aligned is not None
    assert found.likeness is not None
    assert not found.aligned.any()  # these films are noise and a blob
    np.testing.assert_allclose(score_images(model, films), found.probability, atol=1e-6)
    asked = rows.head(6).assign(snapshot=SNAPSHOT)
    kept = score_kept_features(standard, store, candidate, model, asked)
    np.testing.assert_allclose(kept, found.probability, atol=1e-4)


@pytest.mark.parametrize(
    ("base", "views", "onnx"),
    [
        ("vgg16-standard-frame-variety", 3, False),
        ("vgg16-variety", 2, True),
        ("vgg16-variety-block5", 3, True),
    ],
)
def test_a_model_that_saw_variety_is_one_file_that_says_what_the_cached_path_says(
    base: str,
    views: int,
    onnx: bool,
    standard: Settings,
    store: ObjectStore,
    small_recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aligned, *_ = framing.FRAMES["combined"](standard, store, SNAPSHOT)
    monkeypatch.setitem(framing.FRAMES, "varied", lambda *_: (aligned, *UNALIGNED))
    recipe = small_recipe("small-variety", base, variants=2)
    solved = not recipe.head.takes_epochs
    settings = standard.model_copy(
        update={"recipe": "small-variety", "export_onnx": onnx, "head_epochs": None}
    )
    rows = write_snapshot(store, images=30, shards=1)
    copied = len(rows) if solved else int((rows["split"] == "train").sum())  # of those that are trained on
    assert extract_features(settings, store, SNAPSHOT, "shard0").computed == views * len(rows) + 2 * copied
    train_head(settings, store, RUN, SNAPSHOT)
    fine_tune(settings, store, RUN, SNAPSHOT)
    export_candidate(settings, store, RUN, SNAPSHOT)
    candidate = read_candidate(store, RUN)
    assert candidate.parity is not None
    assert candidate.parity < 1e-4
    assert len(candidate.frame) == views
    assert (candidate.onnx is not None) == onnx
    assert candidate.onnx is None or candidate.onnx.parity < 1e-3
    assert (candidate.augmentation, candidate.variants) == ("variety", 2)
    assert candidate.epochs["head"] == (0 if solved else 4)
    scores = pd.read_parquet(io.BytesIO(store.read(layout.run(RUN, "held_out_scores.parquet"))))
    held_out = rows if solved else rows[rows["split"] == "validation"]
    assert sorted(scores["sha256"]) == sorted(held_out["sha256"])
    assert scores["probability"].notna().all()


def keras_part(model: Any, name: str) -> Any:
    import keras

    return keras.Model(model.inputs[0], model.get_layer(name).output)


def test_a_head_that_is_not_linear_cannot_be_cross_fitted(small_recipe: Callable[..., Recipe]) -> None:
    weights = BackboneWeights("vgg16", "random", "0" * 64, True, None)
    network = build_network(small_recipe(), weights, (SQUASH,), seed=7)
    with pytest.raises(BadConfiguration, match="linear head"):
        put_head(network, LinearHead(np.zeros(1280), 0.0))


def test_the_article_s_head_does_not_take_two_views(small_recipe: Callable[..., Recipe]) -> None:
    weights = BackboneWeights("vgg16", "random", "0" * 64, True, None)
    with pytest.raises(BadConfiguration, match="one view"):
        build_network(small_recipe(), weights, (SQUASH, SQUASH), seed=7)
