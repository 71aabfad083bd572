"""A store that falls silent costs one limit, however many objects were asked for."""

import threading
import time

import pytest

from pneumo_tasks.errors import ObjectMissing, StorageUnavailable
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore
from tests.faults import proxy as faults
from tests.faults.proxy import Proxy, always


def test_many_reads_come_in_their_order(store: ObjectStore) -> None:
    keys = [f"many/{number}" for number in range(40)]
    for key in keys:
        store.put(key, key.encode())
    assert read_many(store.read, keys) == [key.encode() for key in keys]
    assert read_many(store.read, []) == []


def test_a_silent_store_costs_one_limit_for_all_reads(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    store.put("film", b"film")
    proxy.rule = always(faults.delayed(1.5))
    started = time.monotonic()
    with pytest.raises(StorageUnavailable, match=r"0 of 128 reads in 1 s"):
        read_many(store_behind.read, ["film"] * 128, seconds=1.0, threads=4)
    assert time.monotonic() - started < 1.5
    time.sleep(2.5)
    assert len(proxy.seen) <= 4, "what waited is never begun"


def test_the_first_error_ends_the_reads(store: ObjectStore) -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def read(number: int) -> bytes:
        with lock:
            begun.append(number)
        time.sleep(0.02)
        return store.read("absent")

    with pytest.raises(ObjectMissing):
        read_many(read, range(1000), threads=4)
    assert len(begun) < 100
