"""A bucket of an earlier release is brought up to date by one command, which says what it found wrong."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pneumo_tasks import journal
from pneumo_tasks.cli import app
from pneumo_tasks.commands.upgrading import examine_bucket
from pneumo_tasks.dataset.snapshots import assemble_dataset, training_rows
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.catalogue import read_catalogue
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

MADE_BY_THIS_RELEASE = ("catalogue/", "register/", "run-index/")


@pytest.fixture
def old(settings: Settings, store: ObjectStore, tmp_path: Path) -> ObjectStore:
    """A bucket with batches, a snapshot and an ended run, without what this release keeps beside them."""
    write_phantoms(tmp_path, draw_phantoms(seed=3, train_per_label=14, test_per_label=4))
    for split in ("train", "test"):
        upload_batch(settings, store, tmp_path / split, f"{split}-1", split, synthetic=True)
        validate_batch(settings, store, f"{split}-1")
    assemble_dataset(settings, store)
    journal.record_failure(store, "weekly-1", "extract", "lost")
    verdicts = [o.key for o in store.list_objects("validations/") if o.key.endswith("verdict.json")]
    for key in verdicts:
        store.put_json(key, {**store.read_json(key), "attempt": ""})
        folder, _, _ = key.rpartition("/")
        for name in ("facts.parquet", "result.json"):
            there = next((o.key for o in store.list_objects(folder) if o.key.endswith(name)), None)
            if there:
                store.put(f"{folder}/{name}", store.read(there))
    for prefix in MADE_BY_THIS_RELEASE:
        for listed in list(store.list_objects(prefix)):
            store.delete(listed.key)
    return store


def found(settings: Settings, store: ObjectStore, write: bool = False) -> dict[str, tuple[bool, str]]:
    return {f.name: (f.good, f.seen) for f in examine_bucket(settings, store, write)}


def test_without_write_nothing_is_written(settings: Settings, old: ObjectStore) -> None:
    before = {listed.key: listed.etag for listed in old.list_objects("")}
    lines = found(settings, old)
    assert {listed.key: listed.etag for listed in old.list_objects("")} == before
    assert [name for name, (good, _) in lines.items() if not good] == [
        "catalogue of verdicts", "register of patients", "index of runs", "accepted films",
    ]  # fmt: skip


def test_with_write_the_bucket_is_up_to_date_and_its_patients_stay(
    settings: Settings, old: ObjectStore
) -> None:
    assert all(good for good, _ in found(settings, old, write=True).values())
    again = found(settings, old)
    assert all(good for good, _ in again.values())
    assert "patients in 1 parts" in again["register of patients"][1]
    assert read_catalogue(old).head == 2
    register = read_register(old)
    assert register is not None
    assert register.founding.salt == settings.split_salt


def test_a_film_that_was_overwritten_or_lost_is_named_with_its_batch(
    settings: Settings, old: ObjectStore
) -> None:
    found(settings, old, write=True)
    keys = accepted_images(old)["key"].tolist()
    old.put(keys[0], b"another film")
    old.delete(keys[1])
    good, seen = found(settings, old)["accepted films"]
    assert not good
    assert seen.startswith("2 of 36 films")
    assert "overwritten 1" in seen
    assert "missing 1" in seen


def test_a_patient_of_two_splits_is_named_with_the_snapshots(settings: Settings, old: ObjectStore) -> None:
    (first,) = old.list_folders(layout.DATASETS)
    rows = training_rows(old, first)
    patient = rows["patient"].iloc[0]
    summary = old.read_json(layout.dataset(first, "summary.json"))
    stay, moved = rows[rows["patient"] != patient], rows[rows["patient"] == patient]
    old.put(layout.dataset("0lder", "training.parquet"), stay.to_parquet(index=False))
    old.put(layout.dataset("0lder", "test.parquet"), moved.to_parquet(index=False))
    old.put_json(
        layout.dataset("0lder", "summary.json"), {**summary, "created_at": "2020-01-01", "tables": {}}
    )
    good, seen = found(settings, old)["patients in two splits"]
    assert not good
    assert f"{patient}: test in 0lder, train in {first}" in seen


def test_the_command_ends_with_1_until_the_bucket_is_up_to_date(
    settings: Settings, old: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_BUCKET", settings.bucket)
    run = CliRunner().invoke
    dry = run(app, ["doctor", "--upgrade"])
    assert dry.exit_code == 1, dry.output
    assert "FAIL  catalogue of verdicts: 2 verdicts are in no catalogue" in dry.output
    written = run(app, ["doctor", "--upgrade", "--write"])
    assert written.exit_code == 0, written.output
    assert run(app, ["doctor", "--write"]).exit_code == 2
