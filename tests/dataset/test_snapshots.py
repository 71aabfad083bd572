from pathlib import Path

import pytest

from pneumo_tasks.dataset.balance import compute_class_balance, read_class_balance
from pneumo_tasks.dataset.snapshots import (
    SnapshotRef,
    assemble_dataset,
    former_homes,
    test_rows,
    training_rows,
)
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.errors import BadData
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.sent.patients import canonical
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.snapshots import summarise

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


def columned(folder: Path, films: Path, ids: list[str], half: str = "train") -> Path:
    """A folder of some films with images.csv that names these patients."""
    files = sorted((films / half).rglob("*.png")) or sorted(
        p for p in (films / half).rglob("*") if p.is_file()
    )
    folder.mkdir()
    lines = ["path,label,patient_id"]
    for number, (file, patient) in enumerate(zip(files, ids, strict=False)):
        (folder / f"{number}{file.suffix}").write_bytes(file.read_bytes())
        lines.append(f"{number}{file.suffix},{file.parent.name},{patient}")
    (folder / "images.csv").write_text("\n".join(lines))
    return folder


def splits(store: ObjectStore, snapshot: SnapshotRef) -> dict[str, str]:
    rows = [training_rows(store, snapshot.snapshot_id), test_rows(store, snapshot.snapshot_id)]
    return {
        patient: "test" if split == "test" else "train"
        for frame in rows
        for patient, split in zip(frame["patient"], frame["split"], strict=True)
    }


def test_a_patient_stays_in_one_split_after_a_resubmission(
    settings: Settings, store: ObjectStore, films: Path, snapshot: SnapshotRef, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    write_phantoms(fresh, draw_phantoms(seed=9, train_per_label=8, test_per_label=1))
    wanted = settings.model_copy(update={"test_share": 1.0})
    take_in(wanted, store, columned(tmp_path / "a", fresh, [f"p{n}" for n in range(16)]), "auto-a", "auto")
    first = assemble_dataset(wanted, store)
    assert first is not None
    assert splits(store, first)["patient:p3"] == "test"
    withdraw_batch(store, "auto-a", "ada", "sent by mistake")
    other = tmp_path / "other"
    write_phantoms(other, draw_phantoms(seed=10, train_per_label=8, test_per_label=1))
    upload_batch(
        settings, store, columned(tmp_path / "b", other, [f"P {n}" for n in range(16)]), "train-b", "train"
    )
    verdict = validate_batch(settings, store, "train-b")
    assert {rejection.rule for rejection in verdict.rejected} == {"one-split"}
    later = assemble_dataset(settings.model_copy(update={"test_share": 0.0, "split_salt": "new"}), store)
    assert later is not None
    before = splits(store, snapshot)
    assert all(
        split == before[patient] for patient, split in splits(store, later).items() if patient in before
    )


def test_the_clock_of_a_sender_moves_nobody(
    settings: Settings, store: ObjectStore, films: Path, snapshot: SnapshotRef, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    write_phantoms(fresh, draw_phantoms(seed=11, train_per_label=8, test_per_label=1))
    half = columned(tmp_path / "a", fresh, [f"q{n}" for n in range(16)])
    take_in(settings, store, half, "honest", "train")
    first = assemble_dataset(settings, store)
    assert first is not None
    other = tmp_path / "other"
    write_phantoms(other, draw_phantoms(seed=12, train_per_label=8, test_per_label=1))
    upload_batch(
        settings, store, columned(tmp_path / "b", other, [f"q{n}" for n in range(16)]), "early", "test"
    )
    manifest = store.read_json(layout.batch_manifest("early"))
    store.put_json(layout.batch_manifest("early"), {**manifest, "created_at": "1970-01-01T00:00:00+00:00"})
    validate_batch(settings, store, "early")
    later = assemble_dataset(settings, store)
    assert later is not None
    assert all(splits(store, later)[f"patient:q{n}"] == "train" for n in range(16))


def test_a_bucket_without_a_register_begins_it_with_what_its_snapshots_say(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef
) -> None:
    before = splits(store, snapshot)
    for listed in store.list_objects("register/"):
        store.delete(listed.key)
    changed = settings.model_copy(update={"split_salt": "", "test_share": 0.9, "folds": 3})
    again = assemble_dataset(changed, store)
    assert again is not None
    assert splits(store, again) == before
    assert again.snapshot_id == snapshot.snapshot_id


def test_a_register_that_begins_late_knows_patients_whose_site_was_in_the_key(
    store: ObjectStore, settings: Settings, snapshot: SnapshotRef
) -> None:
    key = layout.dataset(snapshot.snapshot_id, "training.parquet")
    rows = training_rows(store, snapshot.snapshot_id)
    rows = rows.assign(site="North", patient="North:00" + rows["patient"].str.partition(":")[2])
    store.put(key, rows.to_parquet(index=False))
    summarise(store, snapshot.snapshot_id)
    homes = former_homes(store)
    assert {patient for patient, home in homes.items() if home.split == "train"} == {
        "patient:" + canonical(patient.partition(":")[2]) for patient in rows["patient"]
    }


def test_shards_are_those_of_the_snapshot_also_where_their_size_changed(
    settings: Settings, store: ObjectStore, snapshot: SnapshotRef
) -> None:
    again = assemble_dataset(settings.model_copy(update={"shard_images": 5}), store)
    assert again == snapshot
