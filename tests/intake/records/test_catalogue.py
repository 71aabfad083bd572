"""The order of acceptance: the first verdict stands, nothing returns, and a list stays cheap."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pneumo_tasks.errors import BadBatch, StorageUnavailable
from pneumo_tasks.intake.records.accepted import accepted_entries, accepted_images
from pneumo_tasks.intake.records.batch_list import describe_batch, discover_batches, list_batches
from pneumo_tasks.intake.records.catalogue import open_catalogue, read_catalogue, take_place
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.records.withdrawals import Withdrawal, withdraw_batch, withdrawn_with
from pneumo_tasks.intake.sent.batches import Batch, upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json
from tests.intake.films import film, good_files, jpeg, write


def made(batch_id: str, replaces: list[str] | None = None) -> tuple[Batch, BatchVerdict]:
    batch = Batch(
        batch_id=batch_id, created_at="0000", images=1, images_csv_sha256="", replaces=replaces or []
    )
    verdict = BatchVerdict(
        batch_id=batch_id, digest="d", state="accepted", split="auto", synthetic=True, images=1, accepted=1,
        quarantined=0, reasons=[], rejected=[], validated_at="2026-01-01",
    )  # fmt: skip
    return batch, verdict


def accept(store: ObjectStore, batch_id: str, replaces: list[str] | None = None) -> None:
    batch, verdict = made(batch_id, replaces)
    store.put(layout.batch_manifest(batch_id), canonical_json(batch.model_dump(mode="json")))
    while not take_place(store, open_catalogue(store), batch, verdict):
        pass


def test_overlapping_runs_never_make_batches_duplicates_of_each_other(
    settings, store, tmp_path: Path
) -> None:
    files = good_files(4)
    for name in ("w1", "w2"):
        upload_batch(settings, store, write(tmp_path / name, files), name, "train")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda b: validate_batch(settings, store, b), ("w1", "w2", "w1", "w2")))
    assert (found[0], found[1]) == (found[2], found[3])
    assert sorted(verdict.state for verdict in found[:2]) == ["accepted", "rejected"]
    assert len(accepted_images(store)) == 4
    assert len(read_catalogue(store).entries) == read_catalogue(store).head == 2


def test_an_accepted_batch_that_is_rewritten_keeps_its_verdict_and_its_labels(validated, store) -> None:
    validated(good_files(4))
    before = accepted_images(store)
    document = json.loads(store.read(layout.batch_manifest("b1")))
    store.put(layout.batch_manifest("b1"), canonical_json({**document, "split": "test", "created_at": ""}))
    assert discover_batches(store) == []
    assert accepted_images(store).equals(before)
    assert describe_batch(store, "b1").warnings[-1].startswith("changed")


def test_a_withdrawal_covers_the_chain_in_both_directions(store) -> None:
    for batch_id, replaces in (("w1", []), ("w1-r2", ["w1"]), ("w2", [])):
        accept(store, batch_id, replaces)
    assert [entry.verdict.batch_id for entry in accepted_entries(store)] == ["w1-r2", "w2"]
    assert withdraw_batch(store, "w1-r2", "me", "consent").chain == ["w1"]
    assert [entry.verdict.batch_id for entry in accepted_entries(store)] == ["w2"]
    assert [state.state for state in list_batches(store)] == ["withdrawn", "withdrawn", "accepted"]


def test_one_batch_is_told_as_the_list_tells_it(store) -> None:
    """Its own entry and those it is joined to are enough, whoever replaced or took back whom."""
    chain = (("w1", []), ("w1-r2", ["w1"]), ("w1-r3", ["w1-r2"]), ("w2", []), ("w2-r2", ["w2"]), ("w3", []))
    for batch_id, replaces in chain:
        accept(store, batch_id, list(replaces))
    withdraw_batch(store, "w1", "me", "consent")
    store.put(layout.batch_manifest("w4"), canonical_json(made("w4")[0].model_dump(mode="json")))
    store.put(layout.incoming("w5") + "files/half", b"half")
    listed = {state.batch_id: state.state for state in list_batches(store)}
    assert listed == {
        "w1": "withdrawn", "w1-r2": "withdrawn", "w1-r3": "withdrawn", "w2": "replaced", "w2-r2": "accepted",
        "w3": "accepted", "w4": "waiting", "w5": "incomplete",
    }  # fmt: skip
    assert {name: describe_batch(store, name).state for name in listed} == listed
    assert len(read_catalogue(store, about="w1-r3").entries) == 3
    assert read_catalogue(store, about="w3").head == 6


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=10), st.sets(st.integers(0, 9)))
def test_nothing_that_is_joined_to_a_withdrawn_batch_counts(olds: list[int], taken: set[int]) -> None:
    links = {str(new): [str(old)] for new, old in enumerate(olds) if old < new}
    withdrawals = {str(n): Withdrawal(batch_id=str(n), by="me", reason="r", at="") for n in taken}
    out = withdrawn_with(withdrawals, links)
    for new, (old,) in links.items():
        assert (new in out) == (old in out)
    assert set(withdrawals) <= set(out)


def test_the_slower_of_two_uploads_is_refused_and_has_replaced_nothing(
    settings, store, tmp_path: Path
) -> None:
    first = write(tmp_path / "first", good_files(4))
    late = write(tmp_path / "late", {name: jpeg(film(50 + n)) for n, name in enumerate(good_files(4))})

    def meanwhile(done: int, total: int) -> None:
        if done == total:
            upload_batch(settings, store, first, "w1", "train")

    with pytest.raises(BadBatch, match="of other files has this id"):
        upload_batch(settings, store, late, "w1", "train", on_progress=meanwhile)
    validate_batch(settings, store, "w1")
    sent = {row.file: store.read(row.key) for row in accepted_images(store).itertuples()}
    assert sent == good_files(4)


def test_a_page_in_place_of_a_film_is_no_verdict_on_the_film(settings, store, tmp_path: Path) -> None:
    files = good_files(4)
    upload_batch(settings, store, write(tmp_path / "w1", files), "w1", "train")
    key = next(o.key for o in store.list_objects("incoming/w1/files/") if store.read(o.key) in files.values())
    good = store.read(key)
    store.put(key, b"<html>Please log in</html>")
    with pytest.raises(StorageUnavailable, match="as it was sent"):
        validate_batch(settings, store, "w1")
    assert discover_batches(store) == ["w1"]
    store.put(key, good)
    assert validate_batch(settings, store, "w1").accepted == 4


def test_a_folder_that_nobody_ordered_stops_nobody(settings, store, tmp_path: Path) -> None:
    for key in ("2026 W47/a.jpeg", ".ipynb_checkpoints/x", "empty/"):
        store.put(f"incoming/{key}", b"")
    upload_batch(settings, store, write(tmp_path / "w1", good_files(2)), "w1", "train")
    assert discover_batches(store) == ["w1"]
    assert [state.batch_id for state in list_batches(store)] == ["w1"]


def test_a_batch_that_fails_three_times_goes_to_the_end_of_the_queue(settings, store, tmp_path: Path) -> None:
    for name in ("bad", "good"):
        upload_batch(settings, store, write(tmp_path / name, good_files(2)), name, "train")
    assert discover_batches(store) == ["bad", "good"]
    for attempt in ("1", "2", "3"):
        store.put(layout.validation_begun("bad", attempt), b"")
    assert discover_batches(store) == ["good", "bad"]


def test_verdicts_of_before_the_catalogue_still_count(validated, store) -> None:
    verdict = validated(good_files(4))
    films = accepted_images(store)
    for listed in list(store.list_objects(layout.CATALOGUE)):
        store.delete(listed.key)
    old = verdict.model_copy(update={"attempt": ""})
    facts = store.read(verdict.evidence("facts.parquet"))
    store.put(old.evidence("facts.parquet"), facts)
    store.put_json(old.evidence("verdict.json"), old.model_dump(mode="json", exclude={"attempt"}))
    assert [state.state for state in list_batches(store)] == ["accepted"]
    assert not read_catalogue(store).complete, "a list writes nothing"
    assert accepted_images(store).drop(columns="created_at").equals(films.drop(columns="created_at"))
    assert read_catalogue(store).complete


def test_a_list_of_batches_costs_no_request_a_batch(store) -> None:
    for number in range(123):
        accept(store, f"w{number:03d}")
    asked: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
    assert len(list_batches(store)) == 123
    assert len(asked) <= 14
    places = [entry.seq for entry in read_catalogue(store).entries]
    assert places == list(range(1, 124))
