import threading
from pathlib import Path

import pytest

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    CorruptArtefact,
    ObjectMissing,
    StorageUnavailable,
)
from pneumo_tasks.object_store import ObjectStore, sha256
from pneumo_tasks.settings import Settings


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


def test_one_of_many_racing_writers_wins(store: ObjectStore, settings: Settings) -> None:
    etag = store.put("hot", b"base")
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def write(name: str) -> None:
        own = ObjectStore.connect(settings)
        barrier.wait()
        try:
            own.replace_if_unchanged("hot", name.encode(), etag)
            outcomes.append(name)
        except ConditionFailed:
            pass

    threads = [threading.Thread(target=write, args=(f"writer-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert store.read("hot").decode() == outcomes[0]


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
