"""Half a listing, or a page of somebody else, is never an empty bucket."""

import pytest

from pneumo_tasks.errors import StorageUnavailable
from pneumo_tasks.storage.listings import agreed
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.s3_answers import why_no_answer
from tests.faults import proxy as faults
from tests.faults.proxy import Fault, Proxy, always, listings_of, once

DAMAGE = (
    *(faults.head_only, faults.half_then_closed, faults.half_then_reset, faults.shortened),
    *(faults.login_page, faults.error_in_200, faults.nothing_in_200, faults.empty_page, faults.other_names),
    faults.no_time,
)


@pytest.mark.parametrize("fault", DAMAGE, ids=lambda fault: fault.__name__)
def test_one_damaged_listing_hides_nothing(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, fault: Fault
) -> None:
    for number in range(5):
        store.put(f"models/v{number}/manifest.json", b"{}")
    proxy.rule = once(fault, listings_of("models/"))
    listed = [found.key for found in store_behind.list_objects("models/")]
    assert listed == [f"models/v{number}/manifest.json" for number in range(5)]
    proxy.rule = once(fault, listings_of("models/"))
    assert store_behind.list_folders("models/") == [f"v{number}" for number in range(5)]
    assert proxy.faults.total() == 2


@pytest.mark.parametrize("fault", [faults.head_only, faults.login_page, faults.nothing_in_200])
def test_a_listing_that_never_arrives_is_worth_another_try(
    proxy: Proxy, store_behind: ObjectStore, fault: Fault
) -> None:
    proxy.rule = always(fault, listings_of("incoming/"))
    with pytest.raises(StorageUnavailable, match="not the object store, or its answer was cut"):
        list(store_behind.list_objects("incoming/"))


def test_listings_that_never_agree_are_no_answer() -> None:
    answers = iter([["a", "b"], ["a"], ["b"], ["a"], ["b"], ["a"], ["b"]])
    with pytest.raises(StorageUnavailable, match="no two listings agree"):
        agreed(lambda: next(answers), str, "models/")


def test_what_is_written_between_two_listings_is_listed() -> None:
    answers = iter([["a"], ["a", "b"]])
    assert agreed(lambda: next(answers), str, "models/") == ["a", "b"]


def test_a_page_that_goes_on_without_saying_where_is_no_page() -> None:
    head = b"<ListBucketResult><KeyCount>1</KeyCount><IsTruncated>"
    tail = b"</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>"
    assert why_no_answer("ListObjectsV2", 200, {}, head + b"false" + tail) == ""
    assert "where" in why_no_answer("ListObjectsV2", 200, {}, head + b"true" + tail)
    no_keys = b"<ListBucketResult><KeyCount>3</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
    assert "holds none" in why_no_answer("ListObjectsV2", 200, {}, no_keys)


def test_markers_of_folders_are_no_objects(store: ObjectStore) -> None:
    store.client.put_object(Bucket=store.bucket, Key="ledger/", Body=b"")
    store.client.put_object(Bucket=store.bucket, Key="ledger/old/", Body=b"")
    store.put("ledger/00000001.json", b"{}")
    assert [listed.key for listed in store.list_objects("ledger/")] == ["ledger/00000001.json"]
    assert [listed.key for listed in store.list_objects("ledger/00000001.json")] == ["ledger/00000001.json"]
