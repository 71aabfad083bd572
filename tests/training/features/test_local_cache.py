import os
from pathlib import Path

import numpy as np

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.mapped_arrays import MappedArray


def _stored(store: ObjectStore, folder: Path, number: int) -> tuple[str, str, int]:
    path = folder / f"{number}.npy"
    np.save(path, np.full((100, 10), number, np.float32))
    body = path.read_bytes()
    store.put(f"features/{number}", body)
    return f"features/{number}", sha256(body), len(body)


def test_the_least_recently_used_copies_make_room(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    objects = [_stored(store, tmp_path, number) for number in range(4)]
    limit = 2.5 * objects[0][2] / 2**30
    cache = LocalCache(settings.model_copy(update={"cache_folder": tmp_path, "cache_gigabytes": limit}))
    for age, (key, digest, size) in enumerate(objects[:2]):
        os.utime(cache.fetch(store, key, digest, size), (age, age))
    kept = MappedArray(cache.path(objects[0][1]))
    cache.fetch(store, *objects[2])
    assert not cache.path(objects[0][1]).exists()
    assert cache.path(objects[1][1]).exists()
    os.utime(cache.fetch(store, *objects[1]))
    os.utime(cache.path(objects[2][1]), (5, 5))
    cache.fetch(store, *objects[3])
    assert {path.stem for path in cache.folder.glob("*.npy")} == {objects[1][1], objects[3][1]}
    assert kept.read(slice(None)).sum() == 0, "an open file stays readable"


def test_mapped_rows_are_read_in_the_order_asked_and_after_a_release(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float32).reshape(20, 3)
    np.save(tmp_path / "a.npy", values)
    array = MappedArray(tmp_path / "a.npy")
    chosen = np.array([7, 0, 7])
    array.release()
    np.testing.assert_array_equal(array.read(chosen), values[chosen])
