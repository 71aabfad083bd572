"""A task that holds the interpreter in C, which no exception of Python ends."""

import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from pneumo_airflow import hung_tasks, stages

HANGS = """
import ctypes
from datetime import timedelta
from pneumo_airflow.hung_tasks import watch
watch(timedelta(seconds=1))
def a_driver_that_hangs():
    lock, libc = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)  # for ever, whatever the signal, without giving the interpreter back
a_driver_that_hangs()
"""


def test_a_task_that_holds_the_interpreter_is_ended_and_says_where_it_hung() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, check=False, timeout=50
    )
    assert time.monotonic() - began < 50
    assert done.returncode == 1
    assert "a_driver_that_hangs" in done.stderr


def test_a_longer_process_in_which_tasks_run_is_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[timedelta] = []
    monkeypatch.setattr(hung_tasks, "watch", watched.append)
    task = SimpleNamespace(execution_timeout=timedelta(hours=8))
    hung_tasks.end_where_it_hangs({"ti": SimpleNamespace(task=task)})
    assert watched == []
    monkeypatch.setattr(hung_tasks, "_is_of_a_task", lambda: True)
    hung_tasks.end_where_it_hangs({"ti": SimpleNamespace(task=task)})
    assert watched == [timedelta(hours=8, minutes=5)]
    hung_tasks.end_where_it_hangs({"ti": SimpleNamespace(task=SimpleNamespace(execution_timeout=None))})
    assert len(watched) == 1


def test_every_task_of_ours_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[object] = []
    monkeypatch.setattr(stages, "allow_children", lambda: None)  # this process is no task
    monkeypatch.setattr(stages, "get_current_context", lambda: "its context")
    monkeypatch.setattr(stages, "opened", lambda context: context)
    monkeypatch.setattr(stages, "end_where_it_hangs", watched.append)
    assert stages.running_task() == "its context"
    assert watched == ["its context"]
