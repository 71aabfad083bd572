"""One batch of bad files of every kind: each is stopped by the right rule, the good ones come through."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from pneumo_tasks.films.imaging import Limits
from pneumo_tasks.intake.inspecting.inspection import inspect_bytes
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.conftest import rules
from tests.intake.films import film, good_files, jpeg, write
from tests.intake.hostile import hostile_files

# Rows of images.csv whose fault is not in the bytes: path, label, patient, view, rule.
ROWS = [
    ("../../../etc/passwd", "NORMAL", "1", "", "path-inside-batch"),
    ("/etc/passwd", "NORMAL", "1", "", "path-inside-batch"),
    ("C:/films/1.jpeg", "NORMAL", "1", "", "path-inside-batch"),
    ("a/../b.jpeg", "NORMAL", "1", "", "path-inside-batch"),
    ("a//b.jpeg", "NORMAL", "1", "", "path-inside-batch"),
    ("", "NORMAL", "1", "", "path-inside-batch"),
    ("x" * 300 + ".jpeg", "NORMAL", "1", "", "path-inside-batch"),
    ("gepj.\u202egpj.exe", "NORMAL", "1", "", "path-inside-batch"),
    ("zero\u200bwidth.jpeg", "NORMAL", "1", "", "path-inside-batch"),
    ("=HYPERLINK(1).jpeg", "NORMAL", "1", "", "file-present"),
    ("never-sent.jpeg", "NORMAL", "1", "", "file-present"),
    ("case.jpeg", "normal", "1", "", "label-known"),
    ("formula.jpeg", "=1+1", "1", "", "label-known"),
    ("unlabelled.jpeg", "", "1", "", "label-known"),
    ("nobody.jpeg", "NORMAL", "", "", "patient-known"),
    ("from-the-side.jpeg", "NORMAL", "1", "lateral", "frontal-view"),
    ("NORMAL/IM-0900-0001.jpeg", "NORMAL", "900", "", "no-duplicate"),
]
SENT = ("case.jpeg", "formula.jpeg", "unlabelled.jpeg", "nobody.jpeg", "from-the-side.jpeg")
KINDS = hostile_files()


class Peak(threading.Thread):
    """The most memory that any one process below this one, the S3 server apart, was seen to hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.stopped = 0, threading.Event()

    def run(self) -> None:
        own = psutil.Process()
        while not self.stopped.wait(0.05):
            for process in own.children(recursive=True):
                try:
                    if process.name() != "weed":
                        self.bytes = max(self.bytes, process.memory_info().rss)
                except psutil.Error:
                    continue


@pytest.mark.slow
def test_a_hostile_batch_ends_in_quarantine_and_its_good_films_do_not(
    monkeypatch: pytest.MonkeyPatch, environment: None, store: ObjectStore, tmp_path: Path
) -> None:
    monkeypatch.setenv("PNEUMO_MIN_GOOD_SHARE", "0")
    settings = Settings.load()
    good = good_files(8, start=900)
    expected = {f"bad/{name}": rule for name, (_, rule) in KINDS.items()} | {row[0]: row[4] for row in ROWS}
    files = good | {f"bad/{name}": data for name, (data, _) in KINDS.items()}
    files |= {name: jpeg(film(800 + n)) for n, name in enumerate(SENT)}
    lines = ["path,label,patient_id,view"]
    lines += [f"{name},{name.split('/')[0]},{900 + n}," for n, name in enumerate(good)]
    lines += [f"bad/{name},NORMAL,{2000 + n}," for n, name in enumerate(KINDS)]
    lines += [",".join(row[:4]) for row in ROWS]
    files["images.csv"] = "\n".join(lines).encode()
    assert len(expected) >= 60

    peak = Peak()
    peak.start()
    upload_batch(settings, store, write(tmp_path / "hostile", files), "hostile", "train")
    verdict = validate_batch(settings, store, "hostile")
    peak.stopped.set()
    found = rules(verdict)
    assert {name: (found.get(name), rule) for name, rule in expected.items() if found.get(name) != rule} == {}
    assert sorted(accepted_images(store)["file"]) == sorted(good)
    assert peak.bytes < 2**30
    folders = {"/".join(listed.key.split("/")[:2]) for listed in store.list_objects("")}
    judged = {"incoming/hostile", "validations-begun/hostile", "validations/hostile", "quarantine/hostile"}
    assert folders == judged | {"catalogue/1", "catalogue/complete.json"}
    _check_pages(store, verdict.datasheet)


def _check_pages(store: ObjectStore, datasheet: str) -> None:
    """No name or value of the sender runs in a browser or in a spreadsheet."""
    page = store.read(datasheet).decode()
    assert "<script" not in page
    assert "onload=" not in page
    (listed,) = [listed.key for listed in store.list_objects("quarantine/")]
    cells = [cell for line in store.read(listed).decode().splitlines() for cell in line.split(",")]
    assert any(cell.startswith("'=") for cell in cells)
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


@pytest.mark.parametrize("name", KINDS)
def test_no_bad_file_holds_a_decoder_up(name: str) -> None:
    data, _ = KINDS[name]
    started = time.process_time()
    facts = inspect_bytes(name, name, data, Limits(min_side=64)).facts
    assert time.process_time() - started < 5
    assert facts.bytes == len(data)


def test_what_a_dicom_file_says_of_its_patient_stays_inside(settings: Settings) -> None:
    for name, (data, _) in KINDS.items():
        if name.endswith(".dcm"):
            facts = inspect_bytes(name, name, data, Limits(), b"key").facts
            shown = repr(replace(facts, sha256=None, pixel_digest=None, phash=None, thumbnail=None))
            assert "Doe" not in shown
            assert "4711" not in shown
            assert "20200101" not in shown


def test_a_large_colour_film_is_decoded_within_the_limit_on_memory() -> None:
    """25 million pixels with an alpha channel, the most that the limits let through."""
    from tests.intake.films import encoded

    side = 4990
    pixels = np.repeat(np.arange(side, dtype=np.uint8)[:, None], side, axis=1)
    data = encoded(np.stack([pixels] * 4, axis=-1), "PNG", compress_level=1)
    facts = inspect_bytes("large.png", "large.png", data, Limits()).facts
    assert facts.decode_error is None
    assert facts.width == side
