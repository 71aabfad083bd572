import json

import numpy as np
import pytest

from pneumo_tasks import layout
from pneumo_tasks.errors import BadData, CorruptArtefact, ObjectMissing
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.backbones import resolve_weights
from pneumo_tasks.training.extractors import ARRAY, extractor_of, local_copy, open_array, read_index
from pneumo_tasks.training.features import extract_features
from pneumo_tasks.training.recipes import find_recipe
from tests.training.conftest import SNAPSHOT, write_snapshot


def _extractor(settings: Settings, store: ObjectStore, cut: str):
    recipe = find_recipe(settings.recipe)
    return extractor_of(recipe, resolve_weights(settings, store, recipe.backbone), cut)


def test_a_shard_is_computed_once_and_a_damaged_one_again(small: Settings, store: ObjectStore) -> None:
    rows = write_snapshot(store, images=12)
    first = extract_features(small, store, SNAPSHOT, "shard0")
    assert (first["images"], first["computed"]) == (6, 6)
    assert set(first["cuts"]) == {"block4_pool", "block5_pool"}

    extractor = _extractor(small, store, "block4_pool")
    index = read_index(store, extractor, "shard0")
    assert index.images == list(rows[rows["shard"] == "shard0"]["sha256"])
    before = np.array(open_array(small, store, extractor, "shard0", index))
    assert before.dtype == np.float32
    assert before.shape == (6, 3, 3, 512)
    assert extract_features(small, store, SNAPSHOT, "shard0")["computed"] == 0

    key = layout.features(extractor.id, "shard0", ARRAY)
    store.put(key, store.read(key)[:-7])
    local_copy(small, index.sha256).unlink()
    with pytest.raises(CorruptArtefact):
        open_array(small, store, extractor, "shard0", index)
    again = extract_features(small, store, SNAPSHOT, "shard0")
    assert again["cuts"] == ["block4_pool"]
    after = open_array(small, store, extractor, "shard0", read_index(store, extractor, "shard0"))
    np.testing.assert_array_equal(before, after)


def test_a_damaged_local_copy_is_fetched_again(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    extract_features(small, store, SNAPSHOT, "shard0")
    extractor = _extractor(small, store, "block5_pool")
    index = read_index(store, extractor, "shard0")
    path = local_copy(small, index.sha256)
    body = path.read_bytes()
    path.write_bytes(body[:-4] + b"evil")
    open_array(small, store, extractor, "shard0", index)
    assert path.read_bytes() == body


def test_an_index_that_lacks_an_image_is_not_trusted(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    extract_features(small, store, SNAPSHOT, "shard0")
    write_snapshot(store, images=12)
    assert extract_features(small, store, SNAPSHOT, "shard0")["computed"] == 6


def test_an_index_of_another_shape_is_not_trusted(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    extract_features(small, store, SNAPSHOT, "shard0")
    extractor = _extractor(small, store, "block5_pool")
    key = layout.features(extractor.id, "shard0", "index.json")
    store.put(key, json.dumps({"images": "none"}).encode())
    assert extract_features(small, store, SNAPSHOT, "shard0")["cuts"] == ["block5_pool"]


def test_a_changed_image_is_refused(small: Settings, store: ObjectStore) -> None:
    rows = write_snapshot(store, images=8)
    store.put(rows["key"][0], store.read(rows["key"][2]))
    with pytest.raises(BadData, match="changed after it was accepted"):
        extract_features(small, store, SNAPSHOT, "shard0")


def test_an_unknown_shard_is_refused(small: Settings, store: ObjectStore) -> None:
    write_snapshot(store, images=8)
    with pytest.raises(ObjectMissing):
        extract_features(small, store, SNAPSHOT, "shard9")
