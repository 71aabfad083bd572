from pathlib import Path

import pytest

from pneumo_tasks.dataset.balance import compute_class_balance, read_class_balance
from pneumo_tasks.dataset.snapshots import (
    SnapshotRef,
    assemble_dataset,
    snapshot_summary,
    test_rows,
    training_rows,
)
from pneumo_tasks.errors import BadData
from pneumo_tasks.intake.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

test_rows.__test__ = False  # a reader of rows, not a test


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_phantoms(folder, draw_phantoms(seed=3, train_per_label=20, test_per_label=6))
    return folder


def take_in(settings: Settings, store: ObjectStore, folder: Path, batch_id: str, split: str) -> None:
    upload_batch(settings, store, folder, batch_id, split, synthetic=True)
    assert validate_batch(settings, store, batch_id).state == "accepted"


@pytest.fixture
def snapshot(settings: Settings, store: ObjectStore, films: Path) -> SnapshotRef:
    take_in(settings, store, films / "train", "train-1", "train")
    take_in(settings, store, films / "test", "test-1", "test")
    made = assemble_dataset(settings, store)
    assert made is not None
    return made


def test_nothing_accepted_makes_no_snapshot(settings: Settings, store: ObjectStore) -> None:
    assert assemble_dataset(settings, store) is None


def test_a_snapshot_holds_every_accepted_image_once(store: ObjectStore, snapshot: SnapshotRef) -> None:
    training, test = training_rows(store, snapshot.snapshot_id), test_rows(store, snapshot.snapshot_id)
    assert (len(training), len(test)) == (40, 12)
    assert (snapshot.train + snapshot.validation, snapshot.test) == (40, 12)
    assert set(training["split"]) == {"train", "validation"}
    assert set(test["split"]) == {"test"}
    assert not set(training["patient"]) & set(test["patient"])
    assert sorted(snapshot.shards) == sorted(set(training["shard"]))


def test_the_summary_tells_the_reader_what_went_where(store: ObjectStore, snapshot: SnapshotRef) -> None:
    summary = snapshot_summary(store, snapshot.snapshot_id)
    assert summary.synthetic
    assert summary.received == 52
    assert summary.counts["test"] == {"NORMAL": 6, "PNEUMONIA": 6}
    assert sum(map(sum, (counts.values() for counts in summary.counts.values()))) == 52
    assert {check.verdict for check in summary.checks} == {"pass"}


def test_the_same_data_make_the_same_snapshot_and_more_data_another(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef, tmp_path: Path
) -> None:
    assert assemble_dataset(settings, store) == snapshot
    write_phantoms(tmp_path, draw_phantoms(seed=4, train_per_label=6, test_per_label=1))
    take_in(settings, store, tmp_path / "train", "train-2", "train")
    grown = assemble_dataset(settings, store)
    assert grown is not None
    assert grown.snapshot_id != snapshot.snapshot_id
    assert grown.test_set_id == snapshot.test_set_id
    assert set(snapshot.shards) < set(grown.shards)


def test_a_decided_snapshot_is_no_longer_new(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef
) -> None:
    assert snapshot.new
    store.put_json(layout.dataset_decision(snapshot.snapshot_id, "manual__1"), {})
    again = assemble_dataset(settings, store)
    assert again is not None
    assert not again.new


def test_the_class_balance_is_that_of_the_training_images(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef
) -> None:
    weighed = settings.model_copy(update={"class_weights": "balanced"})
    balance = compute_class_balance(weighed, store, "manual__1", snapshot.snapshot_id)
    train = training_rows(store, snapshot.snapshot_id).query("split == 'train'")
    assert balance.counts == train["label"].value_counts().to_dict()
    assert read_class_balance(store, "manual__1") == balance


def test_without_a_test_batch_there_is_no_dataset(
    settings: Settings, store: ObjectStore, films: Path
) -> None:
    take_in(settings, store, films / "train", "train-1", "train")
    with pytest.raises(BadData, match="in the test split"):
        assemble_dataset(settings, store)


def test_a_run_may_choose_its_batches_but_not_its_test_set(
    settings: Settings, store: ObjectStore, films: Path, snapshot: SnapshotRef, tmp_path: Path
) -> None:
    write_phantoms(tmp_path, draw_phantoms(seed=4, train_per_label=10, test_per_label=6))
    take_in(settings, store, tmp_path / "train", "train-2", "train")
    both = assemble_dataset(settings, store)
    chosen = assemble_dataset(settings.model_copy(update={"batches": ("train-2",)}), store)
    assert both is not None
    assert chosen is not None
    assert chosen.test_set_id == both.test_set_id == snapshot.test_set_id
    assert set(training_rows(store, chosen.snapshot_id)["batch_id"]) == {"train-2"}
    left_out = snapshot_summary(store, chosen.snapshot_id).excluded
    assert {row["batch_id"] for row in left_out if "was not chosen" in row["reason"]} == {"train-1"}
    only_test = assemble_dataset(settings.model_copy(update={"batches": ("train-1",)}), store)
    assert only_test == snapshot  # the same images make the same snapshot
    with pytest.raises(BadData, match="no image of the batch train-9 can be used"):
        assemble_dataset(settings.model_copy(update={"batches": ("train-1", "train-9")}), store)
