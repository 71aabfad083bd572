import re
from datetime import timedelta
from typing import Any

import pytest

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, ObjectMissing, StorageUnavailable
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_reader import ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore, sha256

KEYS = (
    "plain",
    "two words",
    "Ünïcode/\u202eleft",
    "50%25/+&=?#",
    "a" * 200,
    "..hidden",
    "back\\slash",
    "a//b",
)


@pytest.fixture
def reader(settings: Settings) -> ObjectReader:
    return ObjectReader.connect(settings)


def test_it_reads_under_every_key_what_the_store_wrote(reader: ObjectReader, store: ObjectStore) -> None:
    assert reader.fast is not None
    for key in KEYS:
        store.put(key, key.encode())
    assert {key: reader.read(key)[0] for key in KEYS} == {key: key.encode() for key in KEYS}
    assert reader.read("plain")[1] == sha256(b"plain")


def test_bytes_that_changed_are_refused(reader: ObjectReader, store: ObjectStore) -> None:
    store.client.put_object(Bucket=store.bucket, Key="film", Body=b"other", Metadata={"sha256": "0" * 64})
    with pytest.raises(CorruptArtefact, match="film"):
        reader.read("film")


def test_a_missing_object_is_missing(reader: ObjectReader, store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="nothing-here"):
        reader.read("nothing-here")


def test_a_server_that_does_not_answer_is_worth_another_try(settings: Settings) -> None:
    away = settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(StorageUnavailable):
        ObjectReader.connect(away).read("film")


def test_missing_credentials_are_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bare = settings.model_copy(update={"s3_access_key": None, "s3_secret_key": None})
    with pytest.raises(BadConfiguration, match="AWS_ACCESS_KEY_ID"):
        ObjectReader.connect(bare).read("film")


ENDPOINT = "http://store.hospital:9000"
ADDRESSES = {
    "AWS": ({"bucket": "films", "s3_endpoint": None}, "https://films.s3.eu-central-1.amazonaws.com/"),
    # A certificate of AWS holds for one label before its domain.
    "AWS, with dots": (
        {"bucket": "a.b", "s3_endpoint": None},
        "https://s3.eu-central-1.amazonaws.com/a.b/",
    ),
    "path": ({"bucket": "films", "s3_endpoint": ENDPOINT}, f"{ENDPOINT}/films/"),
    "virtual": (
        {"bucket": "films", "s3_endpoint": ENDPOINT, "s3_addressing": "virtual"},
        "http://films.store.hospital:9000/",
    ),
}


@pytest.mark.parametrize(("chosen", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_both_ways_ask_the_same_host(settings: Settings, chosen: dict[str, Any], expected: str) -> None:
    import obstore

    reader = ObjectReader.connect(settings.model_copy(update={"s3_region": "eu-central-1", **chosen}))
    assert reader.fast is not None
    fast = obstore.sign(reader.fast, "GET", "film", timedelta(minutes=1)).partition("?")[0]
    assert fast == f"{expected}film"
    reader.store.client.meta.events.register("before-send.s3.GetObject", tell_address)
    with pytest.raises(Asked, match=re.escape(fast)):
        reader.store.client.get_object(Bucket=chosen["bucket"], Key="film")


class Asked(Exception):
    """The address of a request that is not sent."""


def tell_address(request: Any, **_: object) -> None:
    raise Asked(request.url)
