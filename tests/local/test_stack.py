"""Starting, refusing to start twice, and stopping: with the real servers, in a place of the test's own."""

import json
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.local.environment_file import read_environment
from pneumo_tasks.local.processes import StartedProcess
from pneumo_tasks.local.stack import PROJECT, Place, Stack, describe, down, is_well, up
from pneumo_tasks.local.store_roles import ROLES, variables_of

AIRFLOW = ("standalone", "scheduler", "dag-processor", "api-server", "triggerer")


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


def test_a_record_that_may_not_be_read_is_no_record(place: Place) -> None:
    place.record.mkdir(parents=True)  # reading it is an error of the system, as of a file of somebody else
    assert place.read() is None


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
    # Airflow's processes write their titles over the variables that they show, unless they are told not to.
    stack = up(place, "bucket", {"PNEUMO_DEMO": "true", "SPT_NOENV": "1"})
    try:
        assert stack.is_running()
        assert place.client(stack).is_healthy()
        assert stat.S_IMODE(place.env.stat().st_mode) == 0o600
        values = read_environment(place.env)
        assert values["PNEUMO_S3_ENDPOINT"] == stack.s3_endpoint
        assert [line.split(":")[0] for line in describe(place)][:2] == ["SeaweedFS", "Airflow"]
        with pytest.raises(BadConfiguration, match="runs already"):
            up(place, "bucket", {})
        _run_the_watch(place, stack)
        assert _signed_in_as(place, stack) == {
            "SeaweedFS": set(), "standalone": set(), "triggerer": set(), "scheduler": {"pipeline"},
            "dag-processor": {"scheduler"}, "api-server": {"scheduler"},
        }  # fmt: skip
        assert values["AWS_ACCESS_KEY_ID"] == variables_of(place.roles, "reviewer")["AWS_ACCESS_KEY_ID"]
        assert _listening(stack) == _expected(stack)
        assert _open_to_others(place.local) == []
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


def _run_the_watch(place: Place, stack: Stack) -> None:
    """A real run, so that every kind of file and socket of a run is there too."""
    client = place.client(stack)
    while client.dag("champion_watch") is None:
        time.sleep(1)
    client.unpause("champion_watch")
    run_id = client.trigger("champion_watch", {}, "")
    deadline = time.monotonic() + 240
    while client.run_state("champion_watch", run_id) in ("queued", "running"):
        assert time.monotonic() < deadline, "the watch did not end"
        time.sleep(1)


def _signed_in_as(place: Place, stack: Stack) -> dict[str, set[str]]:
    """Whose secrets each part of the stack has in its variables, those of its own children included."""
    document = json.loads((place.local / "s3" / "identities.json").read_text())
    secrets = {one["name"]: one["credentials"][0]["secretKey"] for one in document["identities"]}
    assert set(secrets) == {"pneumo", *ROLES}
    found: dict[str, set[str]] = {}
    for started in stack.processes:
        for process in started.session():
            line = [process, *process.parents()]
            part = next((one for one, above in pairwise(line) if above.pid == started.pid), process)
            said = " ".join(part.cmdline()).replace("_", "-")
            name = next((name for name in AIRFLOW if f"airflow {name}" in said), started.name)
            held = "\n".join(process.environ().values())
            assert started.name == "SeaweedFS" or str(place.airflow_home) in held, (
                f"{said} hides its variables"
            )
            found.setdefault(name, set()).update(role for role, secret in secrets.items() if secret in held)
    return found


def _listening(stack: Stack) -> set[tuple[str, int]]:
    """Every TCP socket that any process of the stack listens on; and no UDP at all."""
    processes = [one for started in stack.processes for one in started.session()]
    found = [socket for one in processes for socket in one.net_connections("inet")]
    assert [one for one in found if one.type == socket.SOCK_DGRAM and not one.raddr] == []
    return {(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN}


def _expected(stack: Stack) -> set[tuple[str, int]]:
    """The UI, the S3 door, and the store's own doors: test_neighbours.py knocks at each of them."""
    weed = " ".join(psutil.Process(stack.processes[0].pid).cmdline())
    http = {
        name: int(re.findall(rf"-{name}.port=(\d+)", weed)[0]) for name in ("s3", "master", "volume", "filer")
    }
    ui = int(stack.ui.rsplit(":", 1)[1])
    inner = {port + 10_000 for port in http.values()}
    return {("127.0.0.1", port) for port in {ui, *http.values(), *inner}}


def _open_to_others(folder: Path) -> list[str]:
    """What others may read, write or enter; SeaweedFS opens its own volumes, in a closed folder."""
    found = [folder, *folder.rglob("*")]
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in found
        if not path.is_symlink() and path.lstat().st_mode & 0o077 and path.suffix != ".vif"
    ]


def _kill_the_scheduler(place: Place, stack: Stack) -> None:
    """Kill it inside of the main process's session, and wait until Airflow says so."""
    for process in stack.processes[1].session():
        if "scheduler" in " ".join(process.cmdline()):
            process.kill()
    deadline = time.monotonic() + 120
    while is_well(place, stack, patience=0) and time.monotonic() < deadline:
        time.sleep(2)
