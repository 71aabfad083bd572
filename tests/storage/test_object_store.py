"""The contract with an S3 server: every call the product makes, on every server that is present."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    CorruptArtefact,
    ObjectMissing,
    StorageUnavailable,
)
from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests import s3_servers
from tests.s3_servers import S3Servers

NAMES = ("naïve name", "Röntgen/übersicht", "胸部/正面", "a+b=c&d", "percent%20sign", "quote'd", "(1) [2]")


@pytest.fixture(scope="session", params=s3_servers.contract_kinds())
def s3_server(request: pytest.FixtureRequest, all_s3_servers: S3Servers) -> S3Server:
    if not s3_servers.is_present(request.param):
        pytest.skip(f"no {request.param} binary on the PATH")
    return all_s3_servers.server(request.param)


def test_reads_back_what_was_written(store: ObjectStore) -> None:
    etag = store.put("a/naïve key.txt", b"hello")
    assert store.get("a/naïve key.txt").body == b"hello"
    assert store.get("a/naïve key.txt").etag == etag


def test_a_missing_object_is_final(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="no such object"):
        store.read("absent")
    assert not store.exists("absent")


def test_an_object_that_exists_is_not_created_again(store: ObjectStore) -> None:
    store.put_if_absent("once", b"first")
    with pytest.raises(ConditionFailed):
        store.put_if_absent("once", b"second")
    assert store.read("once") == b"first"


def test_what_is_written_once_keeps_the_first_bytes(store: ObjectStore) -> None:
    assert store.put_once("evidence", b"first") == b"first"
    assert store.put_once("evidence", b"second") == b"first"
    assert store.read("evidence") == b"first"


def test_a_stale_etag_replaces_nothing(store: ObjectStore) -> None:
    first = store.replace_if_unchanged("pointer", b"1", None)
    second = store.replace_if_unchanged("pointer", b"2", first)
    with pytest.raises(ConditionFailed):
        store.replace_if_unchanged("pointer", b"3", first)
    assert store.get("pointer").body == b"2"
    assert store.get("pointer").etag == second


def test_replacing_an_object_that_is_gone_is_a_failed_condition(store: ObjectStore) -> None:
    with pytest.raises(ConditionFailed):
        store.replace_if_unchanged("never-there", b"1", '"0123456789abcdef0123456789abcdef"')


def race(settings: Settings, write: Callable[[ObjectStore, bytes], object], writers: int = 8) -> list[bytes]:
    """Let so many writers, each with a client of its own, write at the same moment; returns the winners."""
    winners: list[bytes] = []
    stores = [ObjectStore.connect(settings) for _ in range(writers)]
    barrier = threading.Barrier(writers)

    def run(own: ObjectStore, body: bytes) -> None:
        barrier.wait()
        try:
            write(own, body)
        except ConditionFailed:
            return
        winners.append(body)

    threads = [threading.Thread(target=run, args=(own, b"writer %d" % n)) for n, own in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners


@pytest.mark.parametrize("round_number", range(2))
def test_one_of_many_racing_writers_replaces(
    store: ObjectStore, settings: Settings, round_number: int
) -> None:
    etag = store.put("hot", b"base")
    winners = race(settings, lambda own, body: own.replace_if_unchanged("hot", body, etag))
    assert winners == [store.read("hot")]


@pytest.mark.parametrize("round_number", range(2))
def test_one_of_many_racing_writers_creates(
    store: ObjectStore, settings: Settings, round_number: int
) -> None:
    winners = race(settings, lambda own, body: own.put_if_absent("fresh", body))
    assert winners == [store.read("fresh")]


def test_changed_bytes_are_refused(store: ObjectStore, tmp_path: Path) -> None:
    store.client.put_object(
        Bucket=store.bucket, Key="forged", Body=b"other", Metadata={"sha256": sha256(b"original")}
    )
    with pytest.raises(CorruptArtefact, match="forged"):
        store.read("forged")
    store.put("plain", b"plain")
    with pytest.raises(CorruptArtefact):
        store.read_verified("plain", sha256(b"something else"))
    with pytest.raises(CorruptArtefact):
        store.download("plain", tmp_path / "plain", sha256(b"something else"))
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_survives_the_way_there_and_back(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 60_000)
    digest = store.upload("large", source)
    store.download("large", tmp_path / "copy", digest)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_a_large_file_goes_up_in_parts_and_its_parts_can_be_read(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 60_000)
    store.upload("large", source)
    head = store.client.head_object(Bucket=store.bucket, Key="large")
    assert head["ETag"].strip('"').endswith("-2"), "8 MiB is the limit above which boto3 sends parts"
    assert head["Metadata"]["sha256"] == sha256(source.read_bytes())
    for first, last in [(0, 0), (255, 300), (8 * 2**20 - 2, 8 * 2**20 + 1), (15_359_990, 15_359_999)]:
        answer = store.client.get_object(Bucket=store.bucket, Key="large", Range=f"bytes={first}-{last}")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["Body"].read() == source.read_bytes()[first : last + 1]


def test_names_keep_their_letters_and_come_back_in_key_order(store: ObjectStore) -> None:
    for name in NAMES:
        store.put(f"names/{name}", name.encode())
    listed = list(store.list_objects("names/"))
    assert [(found.key, found.size) for found in listed] == [
        (key, len(key.encode()) - len("names/"))
        for key in sorted((f"names/{name}" for name in NAMES), key=str.encode)
    ]
    assert [store.read(found.key).decode() for found in listed] == [
        found.key.removeprefix("names/") for found in listed
    ]


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("empty", b"")
    assert store.exists("empty")
    assert store.read("empty") == b""
    assert [(found.key, found.size) for found in store.list_objects("")] == [("empty", 0)]


def test_deleting_leaves_nothing_and_minds_no_absence(store: ObjectStore) -> None:
    store.put("short-lived", b"1")
    store.delete("short-lived")
    store.delete("short-lived")
    assert not store.exists("short-lived")
    store.put_if_absent("short-lived", b"2")


def test_a_bucket_is_made_once(store: ObjectStore) -> None:
    store.put("kept", b"1")
    store.ensure_bucket()
    assert store.read("kept") == b"1"


def test_listing_goes_beyond_one_page(store: ObjectStore) -> None:
    for number in range(1005):
        store.put(f"many/{number:04d}/x", b"")
    assert len(list(store.list_objects("many/"))) == 1005
    assert store.list_folders("many/")[:2] == ["0000", "0001"]
    assert len(store.list_folders("many/")) == 1005


def test_this_store_honours_conditional_writes(store: ObjectStore) -> None:
    store.check_conditional_writes()
    assert list(store.list_objects("store-probes/")) == []


def test_a_store_that_is_away_is_worth_another_try(settings: Settings) -> None:
    away = ObjectStore.connect(settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(StorageUnavailable, match="PNEUMO_S3_ENDPOINT"):
        away.read("anything")


def test_wrong_credentials_are_final(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    with pytest.raises(BadConfiguration, match="credentials"):
        ObjectStore.connect(settings).read("anything")
