import pandas as pd
import pytest

from pneumo_tasks.dataset.seen import read_seen, record_seen
from pneumo_tasks.dataset.snapshots import made_snapshots
from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def snapshot(store: ObjectStore, name: str, patients: list[str]) -> str:
    rows = pd.DataFrame({"patient": patients})
    store.put(layout.dataset(name, "training.parquet"), rows.to_parquet(index=False))
    summary = {
        "snapshot_id": name, "test_set_id": "t", "created_at": f"2026-01-0{len(name)}", "counts": {},
        "patients": {}, "families": {}, "batches": [], "received": 0, "quarantined": 0, "excluded": [],
        "synthetic": True, "checks": [],
    }  # fmt: skip
    store.put_json(layout.dataset(name, "summary.json"), summary)
    return name


def test_each_training_adds_the_patients_that_it_meets_first(store: ObjectStore) -> None:
    assert record_seen(store, snapshot(store, "s", ["a:1", "a:2"])) == 2
    assert record_seen(store, snapshot(store, "ss", ["a:2", "a:3"])) == 1
    assert record_seen(store, "ss") == 0
    seen = read_seen(store)
    assert (seen.patients, seen.parts) == ({"a:1", "a:2", "a:3"}, 2)


def test_a_patient_is_the_same_however_an_earlier_release_wrote_the_key(store: ObjectStore) -> None:
    record_seen(store, snapshot(store, "s", ["patient:0007"]))
    assert record_seen(store, snapshot(store, "ss", ["patient:7"])) == 0


def test_the_first_record_of_an_older_bucket_takes_everybody_whom_training_may_have_seen(
    store: ObjectStore,
) -> None:
    snapshot(store, "s", ["a:1"])
    snapshot(store, "ss", ["a:2"])
    assert made_snapshots(store) == ["s", "ss"]
    assert not read_seen(store).parts
    record_seen(store, snapshot(store, "sss", ["a:3"]))
    assert read_seen(store).patients == {"a:1", "a:2", "a:3"}


def test_a_lost_part_is_found_and_never_taken_for_nobody(store: ObjectStore) -> None:
    for number, name in enumerate(("s", "ss")):
        record_seen(store, snapshot(store, name, [f"a:{number}"]))
    store.delete(layout.seen(1))
    with pytest.raises(CorruptArtefact, match="a part of the record of seen patients is missing"):
        read_seen(store)


def test_many_parts_are_read_by_their_sums(store: ObjectStore) -> None:
    for number in range(1, 13):
        record_seen(store, snapshot(store, "s" * number, [f"a:{number}"]))
    assert {listed.key for listed in store.list_objects(layout.SEEN_SUMS)}
    assert len(read_seen(store).patients) == 12
