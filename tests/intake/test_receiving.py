"""An archive sends films by DICOM: what was acknowledged is on the disk, and becomes a batch a study day."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

from pneumo_tasks.errors import BadConfiguration, DiskUnusable
from pneumo_tasks.intake.labelling import label_batch
from pneumo_tasks.intake.receiving import FILMS, Receiver
from pneumo_tasks.intake.records.batch_list import list_batches
from pneumo_tasks.intake.spool import Spool
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.conftest import rules
from tests.intake.dicoms import dicom
from tests.intake.films import film

pytest.importorskip("pynetdicom", reason="needs the extra 'receive'")
from pynetdicom import AE

MIB = 2**20


def study(seed: int, day: str = "20261120", **tags: object) -> bytes:
    return dicom(
        film(seed), PatientID=f"P{seed}", StudyDate=day, StudyInstanceUID=f"1.2.{seed}",
        SOPClassUID=UID(FILMS[1]), SOPInstanceUID=UID(f"1.2.3.{seed}"), **tags,
    )  # fmt: skip


class Listening:
    """A receiver that listens here; ``after_quiet`` acts as if the quiet time were over."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.server = receiver, receiver.listen()
        self.port = int(self.server.server_address[1])

    def after_quiet(self) -> None:
        self.receiver.spool.close_quiet(0)
        self.receiver.send_what_is_quiet()

    def stop(self) -> None:
        self.server.ae.shutdown()
        self.receiver.spool.stop()


@pytest.fixture
def listening(settings: Settings, store: ObjectStore, tmp_path: Path) -> Iterator[Callable[..., Listening]]:
    started: list[Listening] = []

    def listen(most_bytes: int = 100 * MIB, **changes: Any) -> Listening:
        changed = Settings.load({"receive_port": 0, "pseudonym_key": "a key that nobody guesses", **changes})
        receiver = Receiver(changed, store, Spool(tmp_path / "spool", most_bytes), "train")
        started.append(Listening(receiver))
        return started[-1]

    yield listen
    for one in started:
        one.stop()


def sender(port: int, calling: str = "CT1", called: str = "PNEUMO") -> Any:
    entity = AE(calling)
    for kind in FILMS:
        for syntax in (ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless):
            entity.add_requested_context(kind, syntax)
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian)
    return entity.associate("127.0.0.1", port, ae_title=called)


def send(port: int, *films: bytes) -> list[int]:
    association = sender(port)
    assert association.is_established
    found = [association.send_c_store(dcmread(DicomBytesIO(data))) for data in films]
    association.release()
    return [int(status.Status) if status else -1 for status in found]


def waiting(store: ObjectStore) -> list[str]:
    return [state.batch_id for state in list_batches(store)]


def test_the_films_of_each_study_day_are_a_batch_that_waits_for_labels(
    listening: Callable[..., Listening], store: ObjectStore
) -> None:
    here = listening()
    assert send(here.port, study(1), study(2), study(3, "20261121"), study(4, "no date")) == [0] * 4
    assert send(here.port, study(5)) == [0], "another association, the same day"
    assert waiting(store) == []
    here.after_quiet()
    verdicts = [validate_batch(here.receiver.settings, store, batch_id) for batch_id in waiting(store)]
    assert sorted((v.state, v.accepted) for v in verdicts) == [("unlabelled", n) for n in (1, 1, 3)]
    assert list((here.receiver.spool.folder / "closed").iterdir()) == []
    largest = max(verdicts, key=lambda v: v.accepted).batch_id
    labels = b"StudyInstanceUID,label\n1.2.1,NORMAL\n1.2.2,PNEUMONIA\n1.2.5,NORMAL\n"
    new = label_batch(here.receiver.settings, store, largest, labels)
    assert validate_batch(here.receiver.settings, store, new.batch_id).accepted == 3


def test_neither_days_nor_uids_nor_patients_are_in_a_name_of_the_bucket(
    listening: Callable[..., Listening], store: ObjectStore
) -> None:
    here = listening()
    send(here.port, study(1))
    here.after_quiet()
    assert not any(
        word in item.key for item in store.list_objects("") for word in ("20261120", "1.2.3", "P1")
    )


def test_a_day_that_is_not_quiet_yet_stays_open(
    listening: Callable[..., Listening], store: ObjectStore
) -> None:
    here = listening()
    send(here.port, study(1))
    here.receiver.send_what_is_quiet()
    assert waiting(store) == []
    assert len(list((here.receiver.spool.folder / "open" / "20261120").iterdir())) == 1


def test_a_film_is_received_as_it_was_sent_and_judged_like_any_other(
    listening: Callable[..., Listening], store: ObjectStore
) -> None:
    lossless = dcmread(DicomBytesIO(study(7)))
    lossless.compress(RLELossless)
    buffer = DicomBytesIO()
    lossless.save_as(buffer)
    blank = dicom(
        np.zeros((99, 99), np.uint8), StudyDate="20261120", SOPClassUID=UID(FILMS[0]),
        SOPInstanceUID=UID("1.2.9"),
    )  # fmt: skip
    lateral = study(8, ViewPosition="LL")
    here = listening()
    assert send(here.port, buffer.getvalue(), blank, lateral, study(9), study(10)) == [0] * 5
    here.after_quiet()
    verdict = validate_batch(here.receiver.settings, store, *waiting(store))
    assert sorted(rules(verdict).values()) == ["frontal-view", "not-blank"]
    assert verdict.accepted == 3


@pytest.mark.parametrize(
    ("calling", "called", "enters"),
    [("CT1", "PNEUMO", True), ("MR9", "PNEUMO", True), ("CT2", "PNEUMO", False), ("CT1", "OTHER", False)],
)
def test_only_named_titles_enter(
    listening: Callable[..., Listening], calling: str, called: str, enters: bool
) -> None:
    association = sender(listening(receive_calling="CT1, MR9").port, calling, called)
    assert association.is_established is enters
    association.release() if enters else association.abort()


def test_an_address_of_the_network_without_named_titles_is_refused(
    listening: Callable[..., Listening],
) -> None:
    with pytest.raises(BadConfiguration, match="PNEUMO_RECEIVE_CALLING"):
        listening(receive_address="0.0.0.0")  # noqa: S104


def test_what_is_no_film_is_not_taken(listening: Callable[..., Listening]) -> None:
    association = sender(listening().port)
    assert {context.abstract_syntax for context in association.accepted_contexts} == set(FILMS)
    association.release()


def test_a_full_spool_asks_the_archive_to_wait_and_takes_the_film_later(
    listening: Callable[..., Listening], store: ObjectStore
) -> None:
    here = listening(most_bytes=int(1.5 * len(study(1))))
    assert send(here.port, study(1), study(2)) == [0, 0xA700]
    here.after_quiet()
    assert send(here.port, study(2)) == [0]


@pytest.mark.parametrize(("side", "answer"), [(1100, 0xC000), (2500, -1)])
def test_a_film_above_the_limit_is_refused_and_a_message_far_above_it_ends_the_association(
    listening: Callable[..., Listening], side: int, answer: int
) -> None:
    large = dicom(
        np.zeros((side, side), np.uint8), StudyDate="20261120", SOPClassUID=UID(FILMS[0]),
        SOPInstanceUID=UID("1.2.9"),
    )  # fmt: skip
    here = listening(max_image_bytes=MIB)
    assert send(here.port, study(1), large) == [0, answer]
    assert len(list(here.receiver.spool.folder.rglob("*.dcm"))) == 1


def test_while_the_store_is_away_films_are_kept_and_sent_when_it_is_back(
    listening: Callable[..., Listening], store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = listening()
    send(here.port, study(1))
    away = Settings.load({"s3_endpoint": "http://127.0.0.1:9"})
    here.receiver.store = ObjectStore.connect(away)
    here.after_quiet()
    assert send(here.port, study(2)) == [0], "it goes on receiving"
    here.receiver.store = store
    here.after_quiet()
    assert len(waiting(store)) == 2


def test_a_batch_that_was_sent_before_the_process_ended_is_not_sent_twice(
    listening: Callable[..., Listening], store: ObjectStore, tmp_path: Path
) -> None:
    here = listening()
    send(here.port, study(1), study(2))
    here.receiver.spool.close_quiet(0)
    (closed,) = here.receiver.spool.closed()
    shutil.copytree(closed, tmp_path / "copy")
    here.receiver.send_what_is_quiet()
    shutil.copytree(tmp_path / "copy", closed)
    here.receiver.send_what_is_quiet()
    assert len(waiting(store)) == 1
    assert not closed.exists()


def test_two_processes_never_use_one_folder(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MIB)
    with pytest.raises(BadConfiguration, match="another `pneumo receive`"):
        Spool(tmp_path, MIB)
    spool.stop()


def test_the_same_film_twice_is_kept_and_counted_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    for _ in range(5):
        spool.keep("20261120", b"x" * 400)
    with pytest.raises(DiskUnusable, match=r"400 bytes, limit 1,000"):
        spool.keep("20261120", b"y" * 700)
    spool.stop()


def run_receiver(tmp_path: Path, port: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "PNEUMO_RECEIVE_PORT": str(port), "PNEUMO_RECEIVE_FOLDER": str(tmp_path / "spool"),
        "PNEUMO_RECEIVE_QUIET_MINUTES": "0.02",
    }  # fmt: skip
    command = [sys.executable, "-c", "from pneumo_tasks.cli import main; main()", "receive"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "listens at 127.0.0.1" in process.stderr.readline()
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
def test_nothing_that_was_acknowledged_is_lost_when_the_process_is_killed(
    store: ObjectStore, tmp_path: Path
) -> None:
    port, kept = free_port(), set()
    for round_ in range(3):
        process = run_receiver(tmp_path, port)
        association = sender(port)
        for seed in range(10 * round_, 10 * round_ + 4):
            status = association.send_c_store(dcmread(DicomBytesIO(study(seed))))
            assert status.Status == 0
            kept.add(f"P{seed}")
        process.send_signal(signal.SIGKILL)  # in the middle of the association
        process.wait()
        association.abort()
    process = run_receiver(tmp_path, port)
    try:
        found: set[str] = set()
        for _ in range(60):
            found = {str(dcmread(DicomBytesIO(data)).PatientID) for data in received(store)}
            if found >= kept:
                break
            time.sleep(1)
        assert found == kept
    finally:
        process.terminate()
        assert process.wait(30) == 0, "it ends in peace when it is asked to"


def received(store: ObjectStore) -> list[bytes]:
    objects = (
        store.read(item.key) for state in list_batches(store)
        for item in store.list_objects(layout.incoming(state.batch_id))
    )  # fmt: skip
    return [data for data in objects if data[128:132] == b"DICM"]


COMMANDS = {
    "pynetdicom": [sys.executable, "-m", "pynetdicom", "storescu", "127.0.0.1"],
    "dcmtk": ["storescu", "--propose-lossless", "127.0.0.1"],
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_storescu_of_two_tool_kits_sends_a_folder(
    kind: str, listening: Callable[..., Listening], store: ObjectStore, tmp_path: Path
) -> None:
    if kind == "dcmtk" and shutil.which("storescu") is None:
        pytest.skip("needs dcmtk: apt-get install dcmtk")
    here = listening(receive_calling="ARCHIVE")
    for seed in range(3):
        (tmp_path / f"{seed}.dcm").write_bytes(study(seed))
    command = [*COMMANDS[kind], str(here.port), "-aet", "ARCHIVE", "-aec", "PNEUMO"]
    for seed in range(3):
        done = subprocess.run(
            [*command, str(tmp_path / f"{seed}.dcm")], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
    here.after_quiet()
    assert len(received(store)) == 3
    assert validate_batch(here.receiver.settings, store, *waiting(store)).accepted == 3
