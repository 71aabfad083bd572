"""What a verdict needs: bytes that are proven, and decoders that end with their task."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pneumo_tasks.errors import StorageUnavailable
from pneumo_tasks.intake.containers.archives import list_members
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from tests.intake.containers.test_archives import tarred
from tests.intake.films import good_files

_TASK = """
import multiprocessing, sys, time
from pneumo_tasks.intake.inspecting import inspectors
if __name__ == "__main__":
    with inspectors._workers(1, True) as pool:
        print(pool.submit(inspectors.os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_a_tar_that_changed_after_it_was_sent_is_not_accepted(settings, store, tmp_path: Path) -> None:
    upload_batch(settings, store, tarred(tmp_path / "w.tar", good_files(4)), "w1", "train")
    (sent,) = list(store.list_objects("incoming/w1/files/"))
    member = list_members(store, sent.key, "archive.tar")[0]
    data = bytearray(store.read(sent.key))
    data[(member.offset or 0) + member.length // 2] ^= 1
    store.put(sent.key, bytes(data))
    with pytest.raises(StorageUnavailable, match="as it was sent"):
        validate_batch(settings, store, "w1")


def test_no_decoder_outlives_a_task_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "task.py"
    script.write_text(_TASK)
    task = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert task.stdout is not None
    decoder = int(task.stdout.readline())
    family = psutil.Process(task.pid).children(recursive=True)
    assert decoder in {process.pid for process in family}
    os.kill(task.pid, signal.SIGKILL)
    task.wait()
    task.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(process.is_running() for process in family):
        time.sleep(0.1)
    assert [process.pid for process in family if process.is_running()] == []
