"""A write whose answer is lost or strange is settled by reading, and refused by name where it is refused."""

import logging
from pathlib import Path

import pytest

from pneumo_tasks.errors import BadBatch, BadConfiguration, ConditionFailed, StorageUnavailable, UnsafeStore
from pneumo_tasks.evaluation.revisions import revise
from pneumo_tasks.intake.sent.batches import read_batch, upload_batch
from pneumo_tasks.promotion.ledger import ledger, ledger_copy
from pneumo_tasks.promotion.registry.pointer import read_pointer, try_move_pointer
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.faults import proxy as faults
from tests.faults.proxy import Fault, Proxy, Request, always, once, writes_of
from tests.intake.films import good_files, write

PROMOTED = ledger.NewEntry(
    kind="promoted", version="v1", sha256="0" * 64, replaces=0, attempt="a", by="the gate", reason="passed"
)
LARGE = bytes(range(256)) * 40_000  # above 8 MiB: boto3 sends it in parts


@pytest.mark.parametrize(
    "fault",
    [faults.without_etag, faults.login_page, faults.reset_before, faults.reset_after, faults.nothing_in_200],
)
def test_a_write_with_a_strange_answer_is_made_again(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, fault: Fault
) -> None:
    proxy.rule = once(fault, writes_of("film"))
    assert store_behind.put("film", b"film") == store.get("film").etag
    proxy.rule = once(fault, writes_of("evidence"))
    assert store_behind.put_once("evidence", b"first") == b"first"


def test_a_passing_conflict_leaves_nothing_unwritten(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    proxy.rule = once(faults.refused(409, "ConditionalRequestConflict"), writes_of("evidence"))
    assert store_behind.put_once("evidence", b"first") == b"first"
    assert store.read("evidence") == b"first"
    proxy.rule = always(faults.refused(409, "ConditionalRequestConflict"), writes_of("other"))
    with pytest.raises(StorageUnavailable, match="nothing is there"):
        store_behind.put_once("other", b"first")


@pytest.mark.parametrize("kind", ["revision", "ledger", "batch"])
def test_a_passing_conflict_is_never_taken_for_another_writer(
    proxy: Proxy, settings: Settings, store: ObjectStore, store_behind: ObjectStore, tmp_path: Path, kind: str
) -> None:
    conflict = faults.refused(409, "ConditionalRequestConflict")
    if kind == "revision":
        proxy.rule = once(conflict, writes_of("decision-0001.json"))
        assert revise(store_behind, "run", "decision", {"a": 1}).key.endswith("decision-0001.json")
        assert store.read_json(layout.run("run", "decision.json")) == {"a": 1}
    elif kind == "ledger":
        proxy.rule = once(conflict, enters_the_ledger)
        assert ledger.append(store_behind, PROMOTED) == ledger.read_ledger(store)[0]
    else:
        proxy.rule = once(conflict, writes_of("batch.json"))
        sent = upload_batch(settings, store_behind, write(tmp_path / "b", good_files(2)), "w1", "train")
        assert read_batch(store, sent.batch_id)[0] == sent


def test_bytes_that_change_on_the_way_up_are_sent_again_or_told(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    proxy.rule = always(faults.flipped_on_the_way_up, writes_of("film"))
    with pytest.raises((StorageUnavailable, BadConfiguration)):
        store_behind.put("film", b"a film of some bytes")
    assert not store.exists("film")


def test_a_lost_answer_to_a_completed_upload_is_settled_by_reading(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(LARGE)

    def completes(request: Request) -> bool:
        return request.method == "POST" and "uploadId" in request.query

    proxy.rule = once(faults.applied_then_refused(404, "NoSuchUpload"), completes)
    assert store_behind.upload("large", tmp_path / "large") == sha256(LARGE)
    assert store.read("large") == LARGE
    proxy.rule = once(faults.refused(404, "NoSuchUpload"), completes)
    with pytest.raises(StorageUnavailable, match="upload in parts is gone"):
        store_behind.upload("other", tmp_path / "large")


def test_an_upload_that_is_refused_is_final(proxy: Proxy, store_behind: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    proxy.rule = always(faults.refused(403, "AccessDenied", "not by this role"))
    with pytest.raises(BadConfiguration, match="not by this role"):
        store_behind.upload("small", tmp_path / "small")


def test_a_store_without_conditional_writes_is_unsafe(proxy: Proxy, store_behind: ObjectStore) -> None:
    proxy.rule = always(faults.refused(501, "NotImplemented"), lambda request: request.method == "PUT")
    with pytest.raises(UnsafeStore, match="cannot do this"):
        store_behind.put_if_absent("pointer", b"1")
    with pytest.raises(UnsafeStore):
        store_behind.check_conditional_writes()


def test_a_store_that_refuses_to_delete_is_still_safe(
    proxy: Proxy, store_behind: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.rule = always(faults.refused(403, "AccessDenied"), lambda request: request.method == "DELETE")
    with caplog.at_level(logging.WARNING):
        store_behind.check_conditional_writes()
    assert "stays in the bucket" in caplog.text


def test_a_conflict_is_a_failed_condition_only_where_somebody_else_wrote(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    proxy.rule = always(faults.refused(409, "ConditionalRequestConflict"), writes_of("pointer"))
    with pytest.raises(ConditionFailed):
        store_behind.replace_if_unchanged("pointer", b"1", None)
    with pytest.raises(StorageUnavailable, match="nothing is there"):
        store_behind.put_if_absent("pointer", b"1")
    store.put("pointer", b"0")
    with pytest.raises(ConditionFailed):
        store_behind.put_if_absent("pointer", b"1")


def test_an_upload_whose_last_answer_is_lost_or_that_is_done_again_is_one_batch(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, settings: Settings, tmp_path: Path
) -> None:
    folder = write(tmp_path / "films", good_files(4))
    proxy.rule = once(faults.reset_after, writes_of("batch.json"))
    sent = upload_batch(settings, store_behind, folder, "monday", "train")
    assert proxy.faults.total() == 1
    before = {listed.key: listed.modified for listed in store.list_objects("")}
    assert upload_batch(settings, store, folder, "monday", "train") == sent
    assert {listed.key: listed.modified for listed in store.list_objects("")} == before, (
        "nothing is sent again"
    )
    for other, split in ((folder, "test"), (write(tmp_path / "others", good_files(4, start=50)), "train")):
        with pytest.raises(BadBatch, match="of other files has this id"):
            upload_batch(settings, store, other, "monday", split)


def test_a_ledger_that_refuses_each_entry_is_told_so(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    proxy.rule = always(faults.refused(412, "PreconditionFailed"), enters_the_ledger)
    with pytest.raises(StorageUnavailable, match="nothing is there"):
        ledger.append(store_behind, PROMOTED)
    assert ledger.read_ledger(store) == []


def test_a_pointer_that_cannot_be_written_is_no_promotion(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    entry = ledger.append(store, PROMOTED)
    proxy.rule = always(faults.refused(412, "PreconditionFailed"), writes_of(layout.CHAMPION))
    assert not try_move_pointer(store_behind, entry, None)
    proxy.rule = always(faults.refused(503, "SlowDown"), writes_of(layout.CHAMPION))
    with pytest.raises(StorageUnavailable):
        try_move_pointer(store_behind, entry, None)
    assert read_pointer(store) == (None, None)
    proxy.rule = always(faults.applied_then_refused(503, "SlowDown"), writes_of(layout.CHAMPION))
    assert try_move_pointer(store_behind, entry, None), "the answer was lost, and the pointer moved"


def test_nobody_waits_for_the_copy_of_the_ledger(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    proxy.rule = always(faults.refused(403, "AccessDenied"), writes_of(layout.LEDGER_COPY))
    for number in range(12):
        ledger.append(store_behind, PROMOTED.model_copy(update={"attempt": str(number), "replaces": None}))
    assert len(ledger.read_ledger(store_behind)) == 12
    assert not ledger_copy.keep_copy(store_behind)
    proxy.rule = None
    assert ledger_copy.keep_copy(store_behind)


def enters_the_ledger(request: Request) -> bool:
    return request.method == "PUT" and request.key.startswith(layout.LEDGER)
