"""A disk fills up, or is read-only, at each stage: a final error names it, and the next try works."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pneumo_tasks.commands.doctor import examine
from pneumo_tasks.storage.object_store import ObjectStore
from tests.faults.stage_process import DONE, FAILED, STAGES
from tests.faults.worker import History, Worker
from tests.faults.worker import worker as worker

ALMOST = 300_000
WRITING = ("extract", "export", "evaluate")  # more than ALMOST; what is smaller ends well


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own, of 600 MB; skips where this user may not mount one."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(disk: Path, room: int) -> Iterator[None]:
    """The disk with ``room`` bytes left."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - room))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_disk_that_takes_no_more_at_a_stage_is_named_and_the_next_try_works(
    worker: Worker, small_disk: Path, tmp_path: Path
) -> None:
    history = History.new(tmp_path, worker.server, "disk", small_disk)
    history.open()[1].ensure_bucket()
    refused = dict.fromkeys(STAGES, 0)
    for name in STAGES:
        for fault in (filled(small_disk, 0), filled(small_disk, ALMOST), read_only(small_disk)):
            with fault:
                ended = worker.stage(name, history)
                said = history.said()
            if ended == DONE:
                continue
            assert ended == FAILED, said
            assert "DiskUnusable: the disk takes no more at" in said.splitlines()[-1], said
            assert str(small_disk) in said.splitlines()[-1]
            assert "bytes free" in said.splitlines()[-1]
            refused[name] += 1
        assert worker.stage(name, history) == DONE, history.said()
    print(refused)
    assert refused["extract"] == 3, refused
    # Python looks for another temporary folder where a full one takes nothing at all; then a stage ends well.
    assert all(refused[name] for name in WRITING), refused
    history.check()


def test_the_doctor_names_a_full_and_a_read_only_disk(
    store: ObjectStore, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_CACHE_FOLDER", str(small_disk))
    for fault in (filled(small_disk, 300_000), read_only(small_disk)):
        with fault:
            line = next(found for found in examine() if found.name == "local disk")
        assert not line.good
        assert line.vital
        assert f"{small_disk}" in line.seen
        assert "bytes free" in line.seen
    assert next(found for found in examine() if found.name == "local disk").good
