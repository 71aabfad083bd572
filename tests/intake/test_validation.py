from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.films.dicom_patients import pseudonym
from pneumo_tasks.intake.containers.disk import Disk
from pneumo_tasks.intake.inspecting.collection import collect_facts
from pneumo_tasks.intake.inspecting.inspectors import Assignment
from pneumo_tasks.intake.judging import Known, judge_batch
from pneumo_tasks.intake.records.accepted import COLUMNS, accepted_images
from pneumo_tasks.intake.records.batch_list import describe_batch, discover_batches
from pneumo_tasks.intake.records.register import Home
from pneumo_tasks.intake.sent.batches import Batch, upload_batch
from pneumo_tasks.intake.sent.contents import contents_on_disk
from pneumo_tasks.intake.sent.manifests import COARSE
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.intake.conftest import rules
from tests.intake.dicoms import dicom
from tests.intake.films import film, good_files, jpeg, png, write


def test_bad_files_are_quarantined_with_their_reason_and_the_rest_is_accepted(validated, store) -> None:
    good = good_files(6)
    cut = jpeg(film(90))
    verdict = validated(
        good
        | {
            "NORMAL/IM-0901-0001.jpeg": cut[: len(cut) // 2],
            "NORMAL/IM-0902-0001.jpeg": b"<!DOCTYPE html><title>Sign in</title>",
            "PNEUMONIA/person903_virus_1.jpeg": b"",
            "COVID/person904_virus_1.jpeg": jpeg(film(94)),
        }
    )
    assert rules(verdict) == {
        "NORMAL/IM-0901-0001.jpeg": "decodable",
        "NORMAL/IM-0902-0001.jpeg": "format",
        "PNEUMONIA/person903_virus_1.jpeg": "bytes",
        "COVID/person904_virus_1.jpeg": "label-known",
    }
    assert (verdict.state, verdict.images, verdict.accepted, verdict.quarantined) == ("accepted", 10, 6, 4)
    values = {rejection.rule: (rejection.value, rejection.limit) for rejection in verdict.rejected}
    assert values["label-known"] == ("COVID", "NORMAL or PNEUMONIA")
    assert values["format"][0] == "HTML"
    assert values["bytes"][0] == "0"

    accepted = accepted_images(store)
    assert sorted(accepted["file"]) == sorted(good)
    assert list(accepted.columns) == list(COLUMNS)
    assert store.read(accepted["key"][0]) == good[accepted["file"][0]]
    listed = store.read(layout.quarantine("b1", verdict.digest)).decode()
    assert listed.startswith("file,rule,value,limit\n")
    assert listed.count("\n") == 5


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("NORMAL/IM-0900-0001.png", jpeg(film(1)), "format-matches-name"),
        ("NORMAL/IM-0900-0001.jpeg", jpeg(film(1, side=63)), "shortest-side"),
        ("NORMAL/IM-0900-0001.jpeg", jpeg(np.full((96, 96), 90, np.uint8)), "not-blank"),
        ("normal/IM-0900-0001.jpeg", jpeg(film(1)), "label-known"),
        ("NORMAL/unnamed.jpeg", jpeg(film(1)), "patient-known"),
    ],
)
def test_each_rule_on_a_file_alone(validated, name: str, data: bytes, rule: str) -> None:
    verdict = validated(good_files(4, start=10) | {name: data})
    assert rules(verdict) == {name: rule}


def test_a_film_counts_once_whatever_its_container(validated) -> None:
    verdict = validated(
        good_files(4, start=10)
        | {
            "NORMAL/IM-0001-0001.png": png(film(1)),
            "NORMAL/IM-0001-0002.png": png(film(1), compress_level=1),
            "NORMAL/IM-0001-0003.png": png(film(1)),
        }
    )
    assert rules(verdict) == {
        "NORMAL/IM-0001-0002.png": "no-duplicate",
        "NORMAL/IM-0001-0003.png": "no-duplicate",
    }
    assert {rejection.value for rejection in verdict.rejected} == {"NORMAL/IM-0001-0001.png"}


def test_the_same_pixels_under_two_labels_are_both_out_and_both_named(validated) -> None:
    verdict = validated(
        good_files(4, start=10)
        | {"NORMAL/IM-0001-0001.png": png(film(1)), "PNEUMONIA/person1_virus_1.png": png(film(1))}
    )
    assert rules(verdict) == dict.fromkeys(
        ["NORMAL/IM-0001-0001.png", "PNEUMONIA/person1_virus_1.png"], "one-label"
    )
    assert "PNEUMONIA/person1_virus_1.png" in verdict.rejected[0].value


def test_a_film_of_an_accepted_batch_is_not_accepted_again(validated, store) -> None:
    validated(good_files(6), "first")
    second = validated(good_files(10), "second")
    assert (second.accepted, set(rules(second).values())) == (4, {"no-duplicate"})
    assert len(accepted_images(store)) == 10
    assert second.rejected[0].value.startswith("first/")


def test_a_patient_of_the_test_set_stays_out_of_training(validated) -> None:
    validated({"NORMAL/IM-0001-0001.png": png(film(1)), **good_files(4, start=10)}, "first", "test")
    second = validated({"NORMAL/IM-0001-0002.png": png(film(2)), **good_files(4, start=20)}, "second")
    assert rules(second) == {"NORMAL/IM-0001-0002.png": "one-split"}
    assert second.rejected[0].value == "test (first)"


def test_what_a_film_says_beside_its_pixels_is_kept_as_coarse_words(validated, store) -> None:
    table = (
        "path,label,patient_id,Patient Age,Gender,device,acquired_at,priority\n"
        "a.jpeg,NORMAL,1,47,w,,2023-07-09,Urgent\nb.dcm,PNEUMONIA,2,,NA,,,\n"
        "c.jpeg,PNEUMONIA,3,secret,x y,Acme  DX-1,secret,secret\n"
    )
    born = {
        "PatientBirthDate": "19310405",
        "StudyDate": "20240203",
        "PatientSex": "M",
        "Manufacturer": "Acme",
        "Laterality": "L",
    }
    films = {"a.jpeg": jpeg(film(1)), "b.dcm": dicom(film(2), **born), "c.jpeg": jpeg(film(3))}
    validated({**films, "images.csv": table.encode()})
    found = accepted_images(store).set_index("file")[[*COARSE]]
    found = found.astype(object).where(found.notna(), None)
    assert found.loc["a.jpeg"].tolist() == ["40 to 64", "female", None, "July", None, "urgent"]
    assert found.loc["b.dcm"].tolist() == ["65 and over", "male", "ACME", "February", "left", None]
    assert found.loc["c.jpeg"].tolist() == [None, None, "ACME DX-1", None, None, None]
    for listed in store.list_objects("validations/"):
        assert not any(
            word in store.read(listed.key) for word in (b"19310405", b"20240203", b"2023", b"secret")
        )


def test_a_patient_keeps_the_key_that_an_earlier_release_gave(monkeypatch, settings, tmp_path: Path) -> None:
    """It left the issuer of a DICOM id out, and took the id as it was written."""
    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    settings, batch = Settings.load(), Batch(batch_id="b", created_at="", split="train", images=0)
    data = dicom(film(1), PatientID="P-07 ", IssuerOfPatientID="North")
    write(tmp_path / "b", {"NORMAL/a.dcm": data})
    contents = contents_on_disk(tmp_path / "b", "train")
    collected = collect_facts(Assignment(settings, "b", "0" * 64, on_disk=True), Disk(), contents)
    new, before = collected.facts.loc[0, ["patient", "formerly"]]
    assert before == f"dicom:{pseudonym('P-07', b'a key that nobody guesses')}"
    assert new.startswith("dicom-")
    nothing = Known.nothing()
    for homes, found in (({}, new), ({before: Home(split="train", fold=0)}, before)):
        judged = judge_batch(settings, batch, "0" * 64, collected, replace(nothing, homes=homes))
        assert judged.facts["patient"][0] == found


def test_a_batch_with_too_few_good_files_is_rejected_whole(validated, store) -> None:
    verdict = validated(good_files(2) | {f"NORMAL/IM-{n:04d}-0001.jpeg": b"x" for n in range(100, 103)})
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("rejected", 0, 3)
    assert verdict.reasons == ["good-share: 2 of 5 files are good (40.0%), limit 50.0%"]
    assert accepted_images(store).empty


def test_a_batch_is_waiting_until_it_has_a_verdict(settings, store, tmp_path: Path) -> None:
    store.put(layout.incoming("unfinished", "NORMAL/1.jpeg"), b"x")
    upload_batch(settings, store, write(tmp_path / "b", good_files(4)), "b", "train")
    assert describe_batch(store, "unfinished").state == "incomplete"
    assert describe_batch(store, "b").state == "waiting"
    assert discover_batches(store) == ["b"]
    validate_batch(settings, store, "b")
    assert describe_batch(store, "b").state == "accepted"
    assert discover_batches(store) == []


def test_an_unchanged_batch_is_not_judged_again(settings, store, tmp_path: Path) -> None:
    upload_batch(settings, store, write(tmp_path / "b", good_files(4)), "b", "train")
    first = validate_batch(settings, store, "b")
    for listed in list(store.list_objects("incoming/b/files")):
        store.put(listed.key, b"not read again")
    assert validate_batch(settings, store, "b") == first


def test_large_batches_are_inspected_in_worker_processes(validated, store) -> None:
    verdict = validated(good_files(80))
    assert verdict.accepted == 80
    frame = accepted_images(store)
    assert frame["patient"].nunique() == 80
    assert isinstance(frame, pd.DataFrame)
    assert frame[["width", "height"]].eq(96).all(axis=None)


def test_the_columns_of_images_csv_decide_over_the_file_names(validated, store) -> None:
    manifest = (
        "Path;Label;Patient ID;site;birthday\na.jpeg;NORMAL;007;north;2020-01-01\nb.jpeg;PNEUMONIA;7;;\n"
    )
    validated({"a.jpeg": jpeg(film(1)), "b.jpeg": jpeg(film(2)), "images.csv": manifest.encode()})
    frame = accepted_images(store).set_index("file")
    assert list(frame["patient"]) == ["patient:7", "patient:7"]  # the site is no part of the key
    assert "birthday" not in frame
    assert frame["site"]["a.jpeg"] == "north"
