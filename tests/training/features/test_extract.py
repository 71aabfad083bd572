import json

import numpy as np
import pytest

from pneumo_tasks.errors import BadData, CorruptArtefact, ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.features.keys import Extractor, pass_of
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.shards import Shard, open_shard
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.model.backbones import resolve_weights
from pneumo_tasks.training.recipes import find_recipe
from tests.training.conftest import SNAPSHOT, write_snapshot


def _extractor(settings: Settings, store: ObjectStore, cut: str) -> Extractor:
    recipe = find_recipe(settings.recipe)
    weights = resolve_weights(settings, store, recipe.backbone)
    return pass_of(recipe, weights, SQUASH, "float32").output(cut)


def _open(settings: Settings, store: ObjectStore, cut: str, shard_id: str = "shard0") -> Shard:
    return open_shard(store, LocalCache(settings), _extractor(settings, store, cut), shard_id)


def test_a_shard_is_computed_once_and_a_damaged_one_again(small: Settings, store: ObjectStore) -> None:
    rows = write_snapshot(store, images=12)
    first = extract_features(small, store, SNAPSHOT, "shard0")
    assert (first.images, first.computed) == (6, 6)
    assert set(first.cuts) == {"block4_pool", "block5_pool", "block3_gap", "pooled"}

    shard = _open(small, store, "block4_pool")
    images = list(rows[rows["shard"] == "shard0"]["sha256"])
    assert shard.index.images == images
    before = shard.read(images)
    assert before.dtype == np.float32
    assert before.shape == (6, 3, 3, 512)
    assert extract_features(small, store, SNAPSHOT, "shard0").computed == 0

    key = layout.features(_extractor(small, store, "block4_pool").id, "shard0", shard.index.array)
    store.put(key, store.read(key)[:-7])
    LocalCache(small).path(shard.index.sha256).unlink()
    with pytest.raises(CorruptArtefact):
        _open(small, store, "block4_pool")
    again = extract_features(small, store, SNAPSHOT, "shard0")
    assert again.cuts == ["block4_pool"]
    np.testing.assert_array_equal(before, _open(small, store, "block4_pool").read(images))


def test_a_damaged_local_copy_is_fetched_again(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    extract_features(small, store, SNAPSHOT, "shard0")
    path = LocalCache(small).path(_open(small, store, "block5_pool").index.sha256)
    body = path.read_bytes()
    path.write_bytes(body[:-4] + b"evil")
    _open(small, store, "block5_pool")
    assert path.read_bytes() == body


def test_a_shard_that_grew_costs_its_new_images_and_one_that_shrank_nothing(
    small: Settings, store: ObjectStore
) -> None:
    write_snapshot(store, images=8)
    extract_features(small, store, SNAPSHOT, "shard0")
    old = _open(small, store, "block4_pool")
    known = old.read(old.index.images)
    rows = write_snapshot(store, images=12)
    assert extract_features(small, store, SNAPSHOT, "shard0").computed == 2
    grown = _open(small, store, "block4_pool")
    assert grown.index.images == list(rows[rows["shard"] == "shard0"]["sha256"])
    np.testing.assert_array_equal(known, grown.read(old.index.images))
    write_snapshot(store, images=8)
    assert extract_features(small, store, SNAPSHOT, "shard0").computed == 0


def test_an_index_of_another_shape_is_not_trusted(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    extract_features(small, store, SNAPSHOT, "shard0")
    extractor = _extractor(small, store, "block5_pool")
    key = layout.features(extractor.id, "shard0", "index.json")
    store.put(key, json.dumps({"images": "none"}).encode())
    assert extract_features(small, store, SNAPSHOT, "shard0").cuts == ["block5_pool"]


def test_a_changed_image_is_refused(small: Settings, store: ObjectStore) -> None:
    rows = write_snapshot(store, images=8)
    store.put(rows["key"][0], store.read(rows["key"][2]))
    with pytest.raises(BadData, match="changed after it was accepted"):
        extract_features(small, store, SNAPSHOT, "shard0")


def test_an_unknown_shard_is_refused(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    with pytest.raises(ObjectMissing):
        extract_features(small, store, SNAPSHOT, "shard9")
