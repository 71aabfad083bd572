"""A store that falls silent costs one limit, however many objects were asked for."""

import threading
import time
from collections.abc import Callable

import pytest

from pneumo_tasks.errors import BadConfiguration, ObjectMissing, StorageUnavailable
from pneumo_tasks.intake.records.catalogue import read_catalogue
from pneumo_tasks.promotion.ledger.ledger import read_ledger
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore
from tests.faults import proxy as faults
from tests.faults.proxy import Proxy, Request, always


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


LONG_LISTS: dict[str, tuple[str, Callable[[ObjectStore], object]]] = {
    "ledger": (layout.LEDGER, read_ledger),
    "catalogue": (layout.CATALOGUE, read_catalogue),
    "runs": (layout.RUNS, list_runs),
}


@pytest.mark.parametrize("name", LONG_LISTS)
def test_the_first_error_ends_the_reading_of_a_long_list(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, name: str
) -> None:
    folder, read = LONG_LISTS[name]
    for number in range(1, 120):
        store.put(layout.ledger_entry(number), b"{}")
        store.put(layout.catalogue_entry(number), b"{}")
        store.put(layout.run(f"run-{number}", "run.json"), b"{}")

    def is_read(request: Request) -> bool:
        return request.method == "GET" and request.key.startswith(folder)

    proxy.rule = always(faults.refused(403, "AccessDenied"), is_read)
    with pytest.raises(BadConfiguration):
        read(store_behind)
    time.sleep(0.5)
    assert proxy.faults.total() < 60, "what waited for its turn was not begun"
