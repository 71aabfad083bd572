"""Somebody who may only send: what a batch says of itself is believed as far as its sender is trusted."""

import re
from pathlib import Path

import pytest

from pneumo_tasks.errors import BadBatch, StorageUnavailable
from pneumo_tasks.intake import validation
from pneumo_tasks.intake.containers.folders import files_below
from pneumo_tasks.intake.records.attempts import MOST_TRIES, begin, begun
from pneumo_tasks.intake.sent.batches import Batch, read_batch
from pneumo_tasks.intake.sent.manifests import read_manifest
from pneumo_tasks.intake.sent.senders import sender_fault
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


def batch(batch_id: str = "north-1", **facts: object) -> Batch:
    return Batch.model_validate({"batch_id": batch_id, "created_at": "", "images": 1, **facts})


def sent(store: ObjectStore, **facts: object) -> str:
    found = batch(**facts)
    store.put(layout.batch_manifest(found.batch_id), canonical_json(found.model_dump(mode="json")))
    return found.batch_id


def test_test_films_are_taken_from_nobody_by_default() -> None:
    assert "PNEUMO_TEST_SENDERS" in str(sender_fault(Settings(test_senders=""), batch(split="test")))
    assert sender_fault(Settings(test_senders="north-"), batch(split="test")) is None
    assert sender_fault(Settings(test_senders="south-"), batch(split="test")) is not None
    assert sender_fault(Settings(test_senders="*"), batch(split="test")) is None
    assert sender_fault(Settings(test_senders=""), batch(split="auto")) is None


def test_a_batch_replaces_those_of_its_own_sender_alone() -> None:
    settings = Settings(senders="north-,south-,north-east-")
    assert sender_fault(settings, batch(replaces=["north-0"])) is None
    for foreign in ("south-1", "north-east-1", "nobody"):
        assert foreign in str(sender_fault(settings, batch(replaces=[foreign])))
    assert sender_fault(Settings(), batch(replaces=["anything"])) is None, "where there is one sender"


def test_what_a_sender_may_not_ask_is_a_verdict_and_stops_nobody(
    settings: Settings, store: ObjectStore
) -> None:
    asked = settings.model_copy(update={"test_senders": "south-"})
    verdict = validate_batch(asked, store, sent(store, split="test"))
    assert verdict.state == "rejected"
    assert "PNEUMO_TEST_SENDERS" in verdict.reasons[0]


def test_a_batch_that_ends_its_process_each_time_is_refused_after_three_tries(
    settings: Settings, store: ObjectStore
) -> None:
    batch_id = sent(store)
    for _ in range(MOST_TRIES):
        begin(store, batch_id)
    verdict = validate_batch(settings, store, batch_id)
    assert verdict.state == "rejected"
    assert "3 tries without a verdict, limit 3" in verdict.reasons[0]


def test_a_store_that_was_away_is_not_the_fault_of_the_batch(
    settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable("the object store did not answer")

    batch_id = sent(store)
    monkeypatch.setattr(validation, "contents_in_bucket", away)
    for _ in range(MOST_TRIES + 2):
        with pytest.raises(StorageUnavailable):
            validate_batch(settings, store, batch_id)
    assert begun(store, batch_id) == 0


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"created_at": "\ud800"}, "created_at is no time"),
        ({"created_at": "2026\u202e"}, "created_at is no time"),
        ({"images": -1}, "limit 10000000"),
        ({"replaces": ["../champion"]}, "no batch id"),
        ({"replaces": [f"b{n}" for n in range(1001)]}, "more than 1000"),
        ({"files_json_sha256": "../../x"}, "no digest"),
    ],
)
def test_what_we_never_write_is_refused_before_any_later_stage_meets_it(
    store: ObjectStore, facts: dict[str, object], why: str
) -> None:
    import json

    body = json.dumps({"batch_id": "north-1", "created_at": "", "images": 1, **facts}).encode()
    store.put(layout.batch_manifest("north-1"), body)
    with pytest.raises(BadBatch, match=why):
        read_batch(store, "north-1")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b" " * (2**20 + 1)])
def test_a_deep_or_a_huge_batch_json_is_refused(store: ObjectStore, body: bytes) -> None:
    store.put(layout.batch_manifest("north-1"), body)
    with pytest.raises(BadBatch, match=r"batch\.json"):
        read_batch(store, "north-1")


def test_a_reason_names_the_line_and_not_what_stands_in_it() -> None:
    for table in (b"Doe^John;19700101;NORMAL\nx.png;1;2\n", b"Doe John,1970\n", b"x,y\nDoe John,1\n"):
        with pytest.raises(BadBatch) as caught:
            read_manifest(table, "batch")
        assert "doe" not in str(caught.value).lower()
        assert re.search("line [12]", str(caught.value))


def test_a_table_of_very_many_columns_is_refused_with_the_limit() -> None:
    header = ",".join(["path", "label", *(f"c{n}" for n in range(16_000))])
    with pytest.raises(BadBatch, match="16002 columns, limit 1000"):
        read_manifest(f"{header}\nx.png,NORMAL\n".encode(), "batch")


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, secret = tmp_path / "export", tmp_path / "id_ed25519"
    folder.mkdir()
    secret.write_text("private")
    (folder / "film.png").write_bytes(b"x")
    (folder / "inside.png").symlink_to(folder / "film.png")
    assert len(list(files_below(folder))) == 2
    (folder / "outside.png").symlink_to(secret)
    with pytest.raises(BadBatch, match="a link leads out of the folder"):
        list(files_below(folder))
