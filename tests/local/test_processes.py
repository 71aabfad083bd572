import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from pneumo_tasks.local.processes import StartedProcess, stop

# A leader whose child leads a process group of its own, as Airflow's tasks do.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(0, flush=True)
time.sleep(600)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(started: list[subprocess.Popen[str]], code: str) -> tuple[StartedProcess, int]:
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    started.append(process)
    assert process.stdout
    return StartedProcess.of("family", process.pid), int(process.stdout.readline())


def test_the_whole_session_ends_and_nothing_else(started: list[subprocess.Popen[str]]) -> None:
    ours, child = start(started, FAMILY)
    other, _ = start(started, FAMILY)
    assert len(ours.session()) == 2
    assert stop(ours) == 2
    assert not ours.is_running()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert len(other.session()) == 2


def test_what_outlived_its_leader_is_found_and_ended(started: list[subprocess.Popen[str]]) -> None:
    ours, child = start(started, FAMILY)
    started[0].kill()
    started[0].wait()
    assert not ours.is_running()
    assert [process.pid for process in ours.session()] == [child]
    assert stop(ours) == 1


def test_who_does_not_listen_is_ended_by_force(started: list[subprocess.Popen[str]]) -> None:
    ours, _ = start(started, DEAF)
    assert stop(ours, patience=0.5) == 1
    assert not ours.is_running()


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(
    started: list[subprocess.Popen[str]],
) -> None:
    theirs, _ = start(started, FAMILY)
    recorded = theirs.model_copy(update={"started": theirs.started - 3600})
    assert not recorded.is_running()
    assert stop(recorded) == 0
    assert theirs.is_running()
