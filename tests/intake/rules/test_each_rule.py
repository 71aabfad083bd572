"""Each rule by its name: take the rule away, and the test that is named for it fails."""

from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.rules.file_rules import row_rules
from pneumo_tasks.intake.sent.batches import Split, upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.conftest import rules
from tests.intake.films import film, good_files, jpeg, png, write

BATCH_RULES = (
    *("something-new", "good-share", "class-images", "class-patients", "class-ratio", "count-as-sent"),
    *("all-files-listed", "columns-used", "ids-look-alike", "ids-placeholder", "studies-of-one-patient"),
    *("drift-psi", "drift-ks", "drift-thumbnails", "drift-circumstances"),
)
LOOK_ALIKES = {
    "a.png": png(film(900)),
    "b.png": png(film(901)),
    "images.csv": b"path,label,patient_id\na.png,NORMAL,01\nb.png,PNEUMONIA,1\n",
}


class Sender:
    """Somebody who hands in one batch after the other."""

    def __init__(self, settings: Settings, store: ObjectStore, folder: Path) -> None:
        self.settings, self.store, self.folder = settings, store, folder

    def sends(self, batch_id: str, files: dict[str, bytes], split: Split = "train") -> None:
        upload_batch(self.settings, self.store, write(self.folder / batch_id, files), batch_id, split)

    def hears(self, batch_id: str, files: dict[str, bytes]) -> BatchVerdict:
        self.sends(batch_id, files)
        return validate_batch(self.settings, self.store, batch_id)


@pytest.fixture
def sender(settings: Settings, store: ObjectStore, tmp_path: Path) -> Sender:
    return Sender(settings, store, tmp_path)


def failed(verdict: BatchVerdict) -> dict[str, str]:
    """Each batch rule that was broken, with its severity."""
    return {check.name: check.severity for check in verdict.checks if check.verdict == "fail"}


def normals(count: int, start: int = 0, darker: int = 1) -> dict[str, bytes]:
    films = {f"NORMAL/IM-{n:04d}-0001.png": film(n) for n in range(start, start + count)}
    return {name: png((pixels // darker).astype(np.uint8)) for name, pixels in films.items()}


def listed(*patients: str, start: int = 0, study: bool = False) -> dict[str, bytes]:
    """A film for each patient id, in turn of either label, and the table that says so."""
    films, lines = {}, ["path,label,patient_id,study_id"]
    for number, patient in enumerate(patients, start):
        films[f"{number}.png"] = png(film(number))
        label = ("NORMAL", "PNEUMONIA")[number % 2]
        lines.append(f"{number}.png,{label},{patient},{f'S{number}' if study else ''}")
    return films | {"images.csv": "\n".join(lines).encode()}


def test_not_disputed(sender: Sender) -> None:
    two_labels = {"NORMAL/IM-0001-0001.png": png(film(1)), "PNEUMONIA/person1_virus_1.png": png(film(1))}
    assert set(rules(sender.hears("b1", good_files(4, 10) | two_labels)).values()) == {"one-label"}
    later = sender.hears("b2", good_files(4, 20) | {"NORMAL/IM-0900-0001.png": png(film(1))})
    assert rules(later) == {"NORMAL/IM-0900-0001.png": "not-disputed"}
    assert later.rejected[0].value.startswith("b1")


def test_no_near_duplicate(sender: Sender) -> None:
    again = {"NORMAL/IM-0900-0001.jpeg": jpeg(film(10), quality=30)}  # other pixels, the same film
    assert rules(sender.hears("b1", good_files(4, 10) | again)) == {
        "NORMAL/IM-0900-0001.jpeg": "no-near-duplicate"
    }


def test_something_new(sender: Sender) -> None:
    sender.hears("b1", good_files(4))
    again = sender.hears("b2", good_files(4))
    assert (again.state, failed(again).get("something-new")) == ("rejected", "critical")


def test_class_patients(sender: Sender) -> None:
    assert failed(sender.hears("b1", normals(4)))["class-patients"] == "warning"
    assert "class-patients" not in failed(sender.hears("b2", good_files(4, 50)))


def test_class_ratio(sender: Sender) -> None:
    assert "class-ratio" not in failed(sender.hears("b1", good_files(8)))
    verdict = sender.hears("b2", good_files(2, 50) | normals(8, 100))
    assert (verdict.state, failed(verdict)["class-ratio"]) == ("accepted", "warning")


def test_count_as_sent(sender: Sender) -> None:
    sender.sends("b1", good_files(8))
    key = layout.batch_manifest("b1")
    sender.store.put_json(key, sender.store.read_json(key) | {"images": 9})  # as another tool counted them
    verdict = validate_batch(sender.settings, sender.store, "b1")
    assert failed(verdict)["count-as-sent"] == "warning"
    assert any("8 files, limit the 9 sent" in warning for warning in verdict.warnings)


def test_all_files_listed(sender: Sender) -> None:
    listed = "path,label,patient_id\na.png,NORMAL,1\nb.png,PNEUMONIA,2\n"
    films = {f"{name}.png": png(film(number)) for number, name in enumerate("abc")}
    verdict = sender.hears("b1", films | {"images.csv": listed.encode()})
    assert (verdict.accepted, failed(verdict)["all-files-listed"]) == (2, "warning")


def test_columns_used(sender: Sender) -> None:
    named = {
        **LOOK_ALIKES,
        "images.csv": b"path,label,patient_id,MRN\na.png,NORMAL,1,9\nb.png,PNEUMONIA,2,8\n",
    }
    assert failed(sender.hears("b1", named))["columns-used"] == "warning"


def test_ids_look_alike(sender: Sender) -> None:
    assert failed(sender.hears("b1", LOOK_ALIKES))["ids-look-alike"] == "warning"


def test_ids_placeholder(sender: Sender) -> None:
    assert failed(sender.hears("b1", listed("ANONYMOUS", "2")))["ids-placeholder"] == "warning"
    assert "ids-placeholder" not in failed(sender.hears("b2", listed("3", "4", start=50)))


def test_studies_of_one_patient(sender: Sender) -> None:
    several = listed(*["1"] * 6, study=True)
    assert failed(sender.hears("b1", several))["studies-of-one-patient"] == "warning"


def test_good_share(sender: Sender) -> None:
    broken = {f"NORMAL/IM-{n:04d}-0001.jpeg": b"x" for n in range(100, 103)}
    verdict = sender.hears("b1", good_files(2) | broken)
    assert (verdict.state, failed(verdict)["good-share"]) == ("rejected", "critical")


def test_class_images(sender: Sender) -> None:
    assert failed(sender.hears("b1", normals(4)))["class-images"] == "warning"


@pytest.fixture
def known(sender: Sender) -> Sender:
    """The sender of sixty films that are known by now."""
    assert not {"drift-psi", "drift-ks", "drift-thumbnails"} & failed(sender.hears("b1", normals(60))).keys()
    return sender


def test_drift_psi(known: Sender) -> None:
    assert failed(known.hears("b2", normals(60, 100, darker=2)))["drift-psi"] == "warning"


def test_drift_ks(known: Sender) -> None:
    assert failed(known.hears("b2", normals(60, 100, darker=2)))["drift-ks"] == "warning"


def test_drift_thumbnails(known: Sender) -> None:
    lying = {name: png(np.rot90(film(n)).copy()) for n, name in enumerate(normals(60, 100), start=100)}
    assert failed(known.hears("b2", lying))["drift-thumbnails"] == "warning"


def test_drift_circumstances(known: Sender) -> None:
    table = "path,label,patient_id,sex\n" + "".join(
        f"{name},NORMAL,{n},F\n" for n, name in enumerate(normals(60, 100))
    )
    verdict = known.hears("b2", {**normals(60, 100), "images.csv": table.encode()})
    assert failed(verdict)["drift-circumstances"] == "warning"
    assert "PSI" in next(warning for warning in verdict.warnings if "drift-circumstances" in warning)


def test_no_rule_is_without_a_test(settings: Settings) -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    assert [rule.name for rule in row_rules(settings) if f'"{rule.name}"' not in tests] == []
    assert [name for name in BATCH_RULES if f"test_{name.replace('-', '_')}" not in globals()] == []


def test_the_list_of_batch_rules_is_whole(known: Sender) -> None:
    """Every rule that any of these verdicts was judged by is in the list."""
    known.hears("b2", good_files(8, 500))
    verdicts = [known.hears("b3", normals(60, 100) | good_files(4, 600)), known.hears("b4", normals(60))]
    verdicts += [known.hears("b5", LOOK_ALIKES), known.hears("b6", listed("1", "2", start=950, study=True))]
    assert {check.name for verdict in verdicts for check in verdict.checks} == set(BATCH_RULES)
