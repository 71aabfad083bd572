import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.storage.work_folders import LeftOver, left_over
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.mapped_arrays import MappedArray
from tests.faults.proxy import flip
from tests.storage.test_work_folders import killed_while_working_in


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
        cache.open(store, key, digest, size).close()
        os.utime(cache.path(digest), (age, age))
    kept = MappedArray(cache.path(objects[0][1]))
    cache.open(store, *objects[2]).close()
    assert not cache.path(objects[0][1]).exists()
    assert cache.path(objects[1][1]).exists()
    cache.open(store, *objects[1]).close()
    os.utime(cache.path(objects[2][1]), (5, 5))
    cache.open(store, *objects[3]).close()
    assert {path.stem for path in cache.folder.glob("*.npy")} == {objects[1][1], objects[3][1]}
    assert kept.read(slice(None)).sum() == 0, "an open file stays readable"


def test_mapped_rows_are_read_in_the_order_asked_and_after_a_release(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float32).reshape(20, 3)
    np.save(tmp_path / "a.npy", values)
    array = MappedArray(tmp_path / "a.npy")
    chosen = np.array([7, 0, 7])
    array.release()
    np.testing.assert_array_equal(array.read(chosen), values[chosen])


def test_processes_that_share_a_full_cache_never_miss_a_file(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    objects = [_stored(store, tmp_path, number) for number in range(12)]
    shared = {"cache_folder": tmp_path, "cache_gigabytes": 2.5 * objects[0][2] / 2**30}
    caches = [LocalCache(settings.model_copy(update=shared)) for _ in range(4)]

    def work(number: int) -> int:
        drawn, wrong = random.Random(number), 0
        for _ in range(40):
            which = drawn.randrange(len(objects))
            array = MappedArray(caches[number].open(store, *objects[which]))
            wrong += int((array.read(slice(None)) != which).sum())
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 0, 0, 0]


def test_a_copy_with_one_flipped_bit_is_fetched_again(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    key, digest, size = _stored(store, tmp_path, 1)
    cache = LocalCache(settings.model_copy(update={"cache_folder": tmp_path}))
    cache.open(store, key, digest, size).close()
    cache.path(digest).write_bytes(flip(cache.path(digest).read_bytes()))
    with cache.open(store, key, digest, size) as file:
        assert sha256(file.read()) == digest


def test_what_a_killed_process_left_is_counted_and_swept(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    objects = [_stored(store, tmp_path, number) for number in range(2)]
    limit = 2.5 * objects[0][2] / 2**30
    cache = LocalCache(settings.model_copy(update={"cache_folder": tmp_path, "cache_gigabytes": limit}))
    cache.open(store, *objects[0]).close()
    with cache.unfinished() as left:
        (left / "array").write_bytes(bytes(objects[0][2]))
        cache.open(store, *objects[1]).close()
        assert not cache.path(objects[0][1]).exists(), "the unfinished file takes room too"
        assert left.exists(), "somebody still writes to it"
    killed = killed_while_working_in(cache.folder)
    assert left_over(cache.folder) == LeftOver(1, 5)
    cache.open(store, *objects[0]).close()
    assert not killed.exists()
