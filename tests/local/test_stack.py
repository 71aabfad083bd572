"""Starting, refusing to start twice, and stopping: with the real servers, in a place of the test's own."""

import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local.environment_file import read_environment
from pneumo_tasks.local.processes import StartedProcess
from pneumo_tasks.local.stack import PROJECT, Place, Stack, describe, down, is_well, up


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[StartedProcess]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield StartedProcess.of("Airflow", process.pid)
    process.kill()
    process.wait()


def record(place: Place, *processes: StartedProcess) -> None:
    place.local.mkdir(exist_ok=True)
    place.write(Stack(s3_endpoint="http://127.0.0.1:1", bucket="b", ui="http://ui", processes=processes))


def test_where_nothing_was_started_there_is_nothing_to_stop(place: Place) -> None:
    assert down(place) == 0
    assert describe(place) == ["Nothing of Pneumo runs here. `make demo` starts it."]


def test_a_stack_that_runs_is_not_started_again(place: Place, sleeper: StartedProcess) -> None:
    record(place, sleeper)
    with pytest.raises(BadConfiguration, match="runs already at http://ui"):
        up(place, "bucket", {})
    assert sleeper.is_running()
    assert place.read() is not None


def test_two_commands_do_not_start_and_stop_at_once(place: Place, sleeper: StartedProcess) -> None:
    record(place, sleeper)
    with place.locked(), pytest.raises(BadConfiguration, match="another command"):
        down(place)
    assert sleeper.is_running()


def test_down_stops_what_is_recorded_and_forgets_it(place: Place, sleeper: StartedProcess) -> None:
    record(place, sleeper)
    assert stat.S_IMODE(place.record.stat().st_mode) == 0o600
    said: list[str] = []
    assert down(place, said.append) == 1
    assert said == ["Stopped Airflow (1 processes)"]
    assert not sleeper.is_running()
    assert place.read() is None
    assert down(place) == 0


def test_a_record_that_cannot_be_read_is_no_record(place: Place) -> None:
    place.local.mkdir()
    place.record.write_text("{")
    assert place.read() is None
    assert down(place) == 0


def test_where_airflow_cannot_start_the_s3_server_is_stopped_again(place: Place) -> None:
    place.local.mkdir()
    place.airflow_home.write_text("a file where Airflow's home should be")
    seen: list[str] = []
    with pytest.raises(FileExistsError):
        up(place, "bucket", {}, seen.append)
    assert seen[-1] == "Stopping what was started"
    assert place.read() is None
    folder = str(place.local / "s3")
    assert not [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == folder]


@pytest.mark.slow
def test_the_real_stack_starts_answers_and_stops_leaving_its_data(place: Place) -> None:
    shutil.copytree(PROJECT / "dags", place.project / "dags")
    stack = up(place, "bucket", {"PNEUMO_DEMO": "true"})
    try:
        assert stack.is_running()
        assert place.client(stack).is_healthy()
        assert stat.S_IMODE(place.env.stat().st_mode) == 0o600
        values = read_environment(place.env)
        assert values["PNEUMO_S3_ENDPOINT"] == stack.s3_endpoint
        assert [line.split(":")[0] for line in describe(place)][:2] == ["SeaweedFS", "Airflow"]
        with pytest.raises(BadConfiguration, match="runs already"):
            up(place, "bucket", {})
        _kill_the_scheduler(place, stack)
        assert stack.is_running(), "the main process goes on"
        assert not is_well(place, stack, patience=0)
        assert any("make down" in line for line in describe(place))
    finally:
        ended = down(place)
    assert ended >= len(stack.processes)
    assert not stack.leftovers()
    assert (place.local / "s3" / "identities.json").exists()
    assert read_environment(place.env) == values


def _kill_the_scheduler(place: Place, stack: Stack) -> None:
    """Kill it inside of the main process's session, and wait until Airflow says so."""
    for process in stack.processes[1].session():
        if "scheduler" in " ".join(process.cmdline()):
            process.kill()
    deadline = time.monotonic() + 120
    while is_well(place, stack, patience=0) and time.monotonic() < deadline:
        time.sleep(2)
