import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.export.exporting import export_candidate
from pneumo_tasks.training.export.parity import SAME_PRECISION, PrecisionTooLow
from pneumo_tasks.training.features.extract import extract_exactly, extract_features
from pneumo_tasks.training.features.keys import Extractor, pass_of
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.precision import (
    ERROR_LIMIT,
    read_error,
    record_error,
    relative_error,
    settled_precision,
)
from pneumo_tasks.training.features.shards import open_shard
from pneumo_tasks.training.films import read_image
from pneumo_tasks.training.fitting.fine_tuning import fine_tune
from pneumo_tasks.training.fitting.head import train_head
from pneumo_tasks.training.fitting.workplace import prepare
from pneumo_tasks.training.framing import views as framing
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.hardware import best_precision, processor_flags
from pneumo_tasks.training.model.artefact import load_artefact, score_images
from pneumo_tasks.training.model.backbones import BackboneWeights, resolve_weights
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import FRAME, Recipe
from pneumo_tasks.training.recipes import find_recipe
from tests.training.conftest import RUN, SNAPSHOT, write_snapshot

has_bfloat16 = pytest.mark.skipif(
    best_precision([], processor_flags()) == "float32", reason="this processor has no bfloat16"
)


def _extractor(settings: Settings, store: ObjectStore, cut: str, precision: str) -> Extractor:
    recipe = find_recipe(settings.recipe)
    weights = resolve_weights(settings, store, recipe.backbone)
    return pass_of(recipe, weights, SQUASH, precision).output(cut)


@has_bfloat16
def test_features_in_bfloat16_train_a_model_whose_file_decides(
    small: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    write_snapshot(store, images=20)
    settings = small.model_copy(update={"precision": "mixed_bfloat16"})
    for shard in ("shard0", "shard1"):
        assert extract_features(settings, store, SNAPSHOT, shard).precision == "mixed_bfloat16"
    extractor = _extractor(settings, store, "block4_pool", "mixed_bfloat16")
    assert open_shard(store, LocalCache(settings), extractor, "shard0").array.dtype == np.float16
    assert 0 < (read_error(store, extractor) or 0) < ERROR_LIMIT

    train_head(settings, store, RUN, SNAPSHOT)
    fine_tune(settings, store, RUN, SNAPSHOT)
    export_candidate(settings, store, RUN, SNAPSHOT)
    place = prepare(settings, store, RUN, SNAPSHOT)
    kept = {split: place.examples(split, ("block4_pool",)).arrays[0] for split in ("train", "validation")}
    assert {array.dtype for array in kept["train"]} == {np.dtype(np.float16)}
    assert {array.dtype for array in kept["validation"]} == {np.dtype(np.float32)}
    candidate = read_candidate(store, RUN)
    assert candidate.precision == "mixed_bfloat16"
    assert (candidate.parity or 0) <= SAME_PRECISION
    facts = store.read_json(layout.run(RUN, "head/history.json"))["precision"]
    assert 0 < facts["relative_errors"]["block5_pool"] < ERROR_LIMIT
    scores = pd.read_parquet(io.BytesIO(store.read(layout.run(RUN, "held_out_scores.parquet"))))
    assert len(scores) == 8
    path = tmp_path / "candidate.keras"
    path.write_bytes(store.read(layout.run(RUN, "candidate.keras")))
    rows = prepare(settings, store, RUN, SNAPSHOT).rows.set_index("sha256").loc[scores["sha256"]]
    films = [read_image(settings, store, key, digest) for digest, key in rows["key"].items()]
    np.testing.assert_allclose(score_images(load_artefact(path), films), scores["probability"], atol=1e-4)


@has_bfloat16
def test_the_film_behind_an_exact_score_is_computed_in_float32_once(
    small: Settings, store: ObjectStore
) -> None:
    rows = write_snapshot(store, images=20)
    settings = small.model_copy(update={"precision": "mixed_bfloat16"})
    extractor = _extractor(settings, store, "block4_pool", "float32")
    extract_exactly(settings, store, SNAPSHOT, "validation")
    judged = rows[(rows["split"] == "validation") & (rows["shard"] == "shard0")]
    assert open_shard(store, LocalCache(settings), extractor, "shard0").index.images == list(judged["sha256"])

    for key in rows["key"]:
        store.delete(key)  # the films are not needed again
    extract_exactly(settings, store, SNAPSHOT, "validation")


@has_bfloat16
def test_a_file_too_far_from_features_in_bfloat16_is_made_again_in_float32(
    small: Settings, store: ObjectStore, small_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_recipe("cross-fitted", "vgg16-standard-frame")
    monkeypatch.setitem(framing.FRAMES, "combined", lambda *_: (SQUASH,))
    monkeypatch.setattr("pneumo_tasks.training.export.parity.LOWER_PRECISION", 1e-9)
    write_snapshot(store, images=20)
    automatic = small.model_copy(update={"recipe": "cross-fitted", "precision": "auto"})
    for shard in ("shard0", "shard1"):
        extract_features(automatic, store, SNAPSHOT, shard)
    train_head(automatic, store, RUN, SNAPSHOT)
    lower = store.read(layout.run(RUN, "head/weights.npz"))
    asked = automatic.model_copy(update={"precision": "mixed_bfloat16"})
    fine_tune(asked, store, RUN, SNAPSHOT)
    with pytest.raises(PrecisionTooLow, match="PNEUMO_PRECISION=float32"):
        export_candidate(asked, store, RUN, SNAPSHOT)

    fine_tune(automatic, store, RUN, SNAPSHOT)
    export_candidate(automatic, store, RUN, SNAPSHOT)
    candidate = read_candidate(store, RUN)
    assert candidate.precision == "float32"
    assert (candidate.parity or 0) <= SAME_PRECISION
    assert store.read(layout.run(RUN, "head/weights.npz")) != lower
    assert extract_features(automatic, store, SNAPSHOT, "shard0").precision == "float32"
    with pytest.raises(BadConfiguration, match="other probabilities than its file"):
        extract_features(asked, store, SNAPSHOT, "shard0")


@pytest.mark.slow
def test_every_grey_level_reaches_the_first_convolution_in_bfloat16_too() -> None:
    recipe = find_recipe("article-vgg16-head")
    weights = BackboneWeights("vgg16", "random", "0" * 64, True, None)
    frames = np.tile(np.arange(256, dtype=np.float32)[:, None, None, None], (1, 150, 150, 1))[::17]
    lower, exact = (
        build_network(recipe, weights, (SQUASH,), 7, precision)
        .part((FRAME,), "block1_conv1")
        .predict_on_batch(frames)
        for precision in ("mixed_bfloat16", "float32")
    )
    np.testing.assert_allclose(lower, exact, rtol=1e-5, atol=1e-4)


def test_training_uses_what_was_extracted_whatever_its_own_precision(
    small: Settings, store: ObjectStore
) -> None:
    write_snapshot(store, images=12)
    for shard in ("shard0", "shard1"):
        extract_features(small, store, SNAPSHOT, shard)
    place = prepare(small.model_copy(update={"precision": "mixed_float16"}), store, RUN, SNAPSHOT)
    assert len(place.examples("train", ("block5_pool",))) > 0
    assert place.source.precision == "float32"


def test_features_of_two_precisions_are_not_mixed(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=12)
    extract_features(small, store, SNAPSHOT, "shard0")
    place = prepare(small, store, RUN, SNAPSHOT)
    with pytest.raises(ObjectMissing, match="PNEUMO_PRECISION"):
        place.examples("train", ("block5_pool",))


def test_a_precision_that_is_too_far_off_is_replaced_by_float32_or_refused_where_asked_for(
    small: Settings, store: ObjectStore
) -> None:
    far, near = (_extractor(small, store, cut, "mixed_bfloat16") for cut in ("pooled", "block5_pool"))
    automatic = small.model_copy(update={"precision": "auto"})
    record_error(store, near, ERROR_LIMIT, 32)
    assert settled_precision(automatic, store, "mixed_bfloat16", [far, near]) == "mixed_bfloat16"
    record_error(store, far, 0.03, 32)
    assert settled_precision(automatic, store, "mixed_bfloat16", [far, near]) == "float32"
    asked = small.model_copy(update={"precision": "mixed_bfloat16"})
    with pytest.raises(BadConfiguration, match="pooled: relative error 3"):
        settled_precision(asked, store, "mixed_bfloat16", [far, near])
    assert read_error(store, _extractor(small, store, "pooled", "float32")) == 0.0


def test_an_error_that_is_not_a_number_is_too_far_off(small: Settings, store: ObjectStore) -> None:
    extractor = _extractor(small, store, "pooled", "mixed_bfloat16")
    record_error(store, extractor, float("inf"), 32)
    automatic = small.model_copy(update={"precision": "auto"})
    assert settled_precision(automatic, store, "mixed_bfloat16", [extractor]) == "float32"


def test_of_two_workers_that_measured_at_once_the_first_is_believed(
    small: Settings, store: ObjectStore
) -> None:
    extractor = _extractor(small, store, "pooled", "mixed_bfloat16")
    record_error(store, extractor, 0.03, 32)
    record_error(store, extractor, 0.01, 32)
    assert read_error(store, extractor) == 0.03


@has_bfloat16
def test_features_and_training_fall_back_to_float32_together(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=12)
    settings = small.model_copy(update={"precision": "auto"})
    record_error(store, _extractor(settings, store, "block4_pool", "mixed_bfloat16"), 0.03, 32)
    for shard in ("shard0", "shard1"):
        assert extract_features(settings, store, SNAPSHOT, shard).precision == "float32"
    place = prepare(settings, store, RUN, SNAPSHOT)
    assert place.hardware.training_precision == "float32"
    assert len(place.examples("train", ("block4_pool",))) > 0
    assert place.source.precision == "float32"


def test_the_relative_error_is_that_of_all_values_together() -> None:
    exact = np.array([3.0, 4.0])
    assert relative_error(np.array([3.0, 4.05]), exact) == pytest.approx(0.01)


def test_a_further_layer_of_block5_is_derived_from_cached_block4(
    small: Settings, store: ObjectStore, small_recipe
) -> None:
    rows = write_snapshot(store, images=12)
    extract_features(small, store, SNAPSHOT, "shard0")
    small_recipe("conv3", "article-vgg16-block5-conv3")
    settings = small.model_copy(update={"recipe": "conv3"})
    extractor = _extractor(settings, store, "block5_conv2", "float32")
    key = rows["key"].iloc[0]
    film = store.read(key)
    store.delete(key)  # the films are not needed
    assert extract_features(settings, store, SNAPSHOT, "shard0").cuts == ["block5_conv2"]
    derived = open_shard(store, LocalCache(settings), extractor, "shard0").read(list(rows["sha256"][::2]))

    store.put(key, film)
    for entry in list(store.list_objects("features/")):
        store.delete(entry.key)
    extract_features(settings, store, SNAPSHOT, "shard0")
    direct = open_shard(store, LocalCache(settings), extractor, "shard0").read(list(rows["sha256"][::2]))
    np.testing.assert_allclose(derived, direct, atol=1e-4)


def test_a_withdrawn_film_is_not_trained_on_though_its_features_are_there(
    small: Settings, store: ObjectStore
) -> None:
    rows = write_snapshot(store, images=12)
    for shard in ("shard0", "shard1"):
        extract_features(small, store, SNAPSHOT, shard)
    left = rows.drop(index=rows.index[rows["split"] == "train"][0])
    store.put(layout.dataset(SNAPSHOT, "training.parquet"), left.to_parquet(index=False))
    for shard in ("shard0", "shard1"):
        assert extract_features(small, store, SNAPSHOT, shard).computed == 0
    train = prepare(small, store, RUN, SNAPSHOT).examples("train", ("block5_pool",))
    assert list(train.image) == list(left[left["split"] == "train"]["sha256"])
