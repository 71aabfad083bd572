"""Films that come before their labels: they wait, and take part once the labels are there."""

from pathlib import Path

import pytest

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.checking import check_path
from pneumo_tasks.intake.labelling import WaitingForLabels, label_batch, waiting_for_labels
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.batch_list import discover_batches, list_batches
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.conftest import rules
from tests.intake.dicoms import dicom
from tests.intake.films import film, jpeg, write
from tests.intake.packing import zipped

FILMS = {f"f{n}.jpeg": jpeg(film(500 + n)) for n in range(4)}
TABLE = "path,patient_id,study_id\n" + "".join(f"f{n}.jpeg,{10 + n},s{n // 2}\n" for n in range(4))


@pytest.fixture
def waiting(settings: Settings, store: ObjectStore, tmp_path: Path) -> Path:
    """Batch w1: four films of two studies, one of them no film at all, and no labels."""
    folder = write(tmp_path / "w1", {**FILMS, "f3.jpeg": b"no film", "images.csv": TABLE.encode()})
    upload_batch(settings, store, folder, "w1", "train", unlabelled=True)
    verdict = validate_batch(settings, store, "w1")
    assert (verdict.state, verdict.accepted, rules(verdict)) == ("unlabelled", 3, {"f3.jpeg": "format"})
    return folder


def states(store: ObjectStore) -> dict[str, str]:
    return {state.batch_id: state.state for state in list_batches(store)}


def test_films_without_labels_wait_and_nobody_uses_them(waiting: Path, store: ObjectStore) -> None:
    assert states(store) == {"w1": "unlabelled"}
    assert accepted_images(store).empty
    assert discover_batches(store) == []


def test_labels_bring_films_in_as_they_come(
    waiting: Path, settings: Settings, store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    some = b"File;Label;Date;Source\n.\\f0.jpeg;NORMAL;2026-11-02;Dr A\n./f1.JPEG;PNEUMONIA;;CT\n"
    others = b"of-another-batch.jpeg;NORMAL;;\n"
    with caplog.at_level("WARNING"):
        assert label_batch(settings, store, "w1", some + others).batch_id == "w1-l1"
    assert "1 of 3 labels name no film of w1: of-another-batch.jpeg" in caplog.text
    assert states(store) == {"w1": "unlabelled", "w1-l1": "waiting"}
    verdict = validate_batch(settings, store, "w1-l1")
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 2, 0)
    assert states(store) == {"w1": "replaced", "w1-l1": "accepted"}
    label_batch(settings, store, "w1", some + b"f2.jpeg;PNEUMONIA;;\nf3.jpeg;NORMAL;;\n")
    verdict = validate_batch(settings, store, "w1-l2")
    assert (verdict.state, verdict.accepted, rules(verdict)) == ("accepted", 3, {"f3.jpeg": "format"})
    assert states(store) == {"w1": "replaced", "w1-l1": "replaced", "w1-l2": "accepted"}
    found = accepted_images(store).set_index("file")["label"].to_dict()
    assert found == {"f0.jpeg": "NORMAL", "f1.jpeg": "PNEUMONIA", "f2.jpeg": "PNEUMONIA"}


def test_a_label_may_be_that_of_a_study(waiting: Path, settings: Settings, store: ObjectStore) -> None:
    label_batch(settings, store, "w1", b"study_id,label\ns0,NORMAL\ns1,PNEUMONIA\n")
    assert validate_batch(settings, store, "w1-l1").accepted == 3
    found = accepted_images(store).set_index("file")["label"].to_dict()
    assert found == {"f0.jpeg": "NORMAL", "f1.jpeg": "NORMAL", "f2.jpeg": "PNEUMONIA"}


def test_studies_of_an_archive_of_dicom_files_are_named_by_their_uid(
    monkeypatch: pytest.MonkeyPatch, environment: None, store: ObjectStore, tmp_path: Path
) -> None:
    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    settings = Settings.load()
    films = {f"a/{n}.dcm": dicom(film(n), PatientID=f"P{n}", StudyInstanceUID=f"1.2.{n}") for n in range(3)}
    upload_batch(settings, store, zipped(tmp_path / "b.zip", films), "w1", "train", unlabelled=True)
    assert validate_batch(settings, store, "w1").state == "unlabelled"
    label_batch(settings, store, "w1", b"StudyInstanceUID,label\n1.2.0,NORMAL\n1.2.2,PNEUMONIA\n")
    assert validate_batch(settings, store, "w1-l1").accepted == 2
    found = accepted_images(store).set_index("file")["label"].to_dict()
    assert found == {"0.dcm": "NORMAL", "2.dcm": "PNEUMONIA"}
    assert all(b"1.2.0" not in store.read(item.key) for item in store.list_objects("validations/"))


def test_a_label_may_be_that_of_a_series_of_a_study(
    monkeypatch: pytest.MonkeyPatch, environment: None, store: ObjectStore, tmp_path: Path
) -> None:
    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    settings = Settings.load()
    films = {
        f"a/{n}.dcm": dicom(
            film(n), PatientID=f"P{n}", StudyInstanceUID="1.2", SeriesInstanceUID=f"1.2.{n // 2}"
        )
        for n in range(4)
    }
    upload_batch(settings, store, zipped(tmp_path / "b.zip", films), "w1", "train", unlabelled=True)
    validate_batch(settings, store, "w1")
    table = b"StudyInstanceUID,SeriesInstanceUID,label\n1.2,1.2.0,NORMAL\n1.2,1.2.1,PNEUMONIA\n"
    label_batch(settings, store, "w1", table)
    assert validate_batch(settings, store, "w1-l1").accepted == 4
    found = accepted_images(store).set_index("file")["label"].to_dict()
    assert found == {f"{n}.dcm": "NORMAL" if n < 2 else "PNEUMONIA" for n in range(4)}
    assert all(b"1.2.0" not in store.read(item.key) for item in store.list_objects("validations/"))


def test_a_series_of_the_table_is_one_too(settings: Settings, store: ObjectStore, tmp_path: Path) -> None:
    table = TABLE.replace("study_id", "series_id").encode()
    upload_batch(
        settings,
        store,
        write(tmp_path / "w1", {**FILMS, "images.csv": table}),
        "w1",
        "train",
        unlabelled=True,
    )
    assert not [w for w in validate_batch(settings, store, "w1").warnings if "columns-used" in w]
    label_batch(settings, store, "w1", b"series,label\ns0,NORMAL\ns1,PNEUMONIA\n")
    assert validate_batch(settings, store, "w1-l1").accepted == 4


def test_the_batches_that_wait_are_counted_until_they_are_labelled_or_withdrawn(
    waiting: Path, settings: Settings, store: ObjectStore
) -> None:
    assert waiting_for_labels(store) == WaitingForLabels(batches=1, films=3)
    label_batch(settings, store, "w1", b"file,label\nf0.jpeg,NORMAL\nf1.jpeg,PNEUMONIA\n")
    assert waiting_for_labels(store).batches == 1, "no verdict yet"
    validate_batch(settings, store, "w1-l1")
    assert waiting_for_labels(store) == WaitingForLabels(batches=0, films=0)
    withdraw_batch(store, "w1-l1", "ada", "consent was taken back")
    assert waiting_for_labels(store).batches == 0


def test_two_labels_of_one_film_are_a_conflict(waiting: Path, settings: Settings, store: ObjectStore) -> None:
    label_batch(settings, store, "w1", b"file,label\nf0.jpeg,NORMAL\nf0.jpeg,PNEUMONIA\nf1.jpeg,NORMAL\n")
    verdict = validate_batch(settings, store, "w1-l1")
    assert [(r.file, r.rule) for r in verdict.rejected] == [("f0.jpeg", "one-label")] * 2


@pytest.mark.parametrize(
    ("batch_id", "table", "says"),
    [
        ("w1", b"file,label\nother.jpeg,NORMAL\n", "no label fits a film"),
        ("w1", b"file,diagnosis\nf0.jpeg,NORMAL\n", "no column 'label'"),
        ("w1", b"", "labels.csv cannot be read as a table"),
        ("w9", b"file,label\nf0.jpeg,NORMAL\n", "does not wait for labels"),
    ],
)
def test_labels_that_fit_nothing_are_refused(
    waiting: Path, settings: Settings, store: ObjectStore, batch_id: str, table: bytes, says: str
) -> None:
    with pytest.raises(BadBatch, match=says):
        label_batch(settings, store, batch_id, table)
    assert states(store) == {"w1": "unlabelled"}


def test_the_check_knows_that_labels_come_later(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", {**FILMS, "images.csv": TABLE.encode()})
    assert check_path(Settings(), folder, "train").answer.state == "refused"
    found = check_path(Settings(), folder, "train", unlabelled=True).answer
    assert (found.state, found.exit_code, found.warnings) == ("unlabelled", 0, [])
