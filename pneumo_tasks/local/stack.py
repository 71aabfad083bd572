"""The embedded stack: an S3 server and Airflow, started together, recorded, stopped together.

.local/env           the stack's environment (0600), read by `pneumo` and by shells
.local/roles/        the store's credential of each role (0600): see ``store_roles``
.local/stack.json    what runs: pids with their start times, addresses (0600)
.local/s3/           SeaweedFS: data and credentials, kept by `make down`
.local/airflow/      Airflow's home: database, task logs, login, kept by `make down`
.local/logs/         what the servers said
"""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks.errors import BadConfiguration, PneumoError
from pneumo_tasks.local import airflow_server, seaweedfs
from pneumo_tasks.local.airflow_client import AirflowClient
from pneumo_tasks.local.environment_file import isolated, read_environment, write_environment
from pneumo_tasks.local.ports import free_ports
from pneumo_tasks.local.processes import StartedProcess, stop
from pneumo_tasks.local.store_roles import AWS_PAIR, PERSON, variables_of, write_identities, write_roles
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import make_folder, open_log, write_private
from pneumo_tasks.storage.object_store import ObjectStore

PROJECT = Path(__file__).resolve().parents[2]
Say = Callable[[str], None]

# SeaweedFS closes its volumes at once, then waits for its own connections for 15 s: no need to.
_PATIENCE = {"SeaweedFS": 3.0, "Airflow": 20.0}


class Stack(BaseModel):
    """What was started, and where it answers."""

    model_config = ConfigDict(frozen=True)

    s3_endpoint: str
    bucket: str
    ui: str = ""
    processes: tuple[StartedProcess, ...]

    def is_running(self) -> bool:
        """Whether every process of it runs."""
        return all(process.is_running() for process in self.processes)

    def leftovers(self) -> list[StartedProcess]:
        """The processes of which anything still runs."""
        return [process for process in self.processes if process.session()]


class Place:
    """The folder that holds everything of one stack; ``project`` is where dags/ lies."""

    def __init__(self, project: Path = PROJECT) -> None:
        self.project = project
        self.local = project / ".local"
        self.env, self.record = self.local / "env", self.local / "stack.json"
        self.airflow_home, self.logs = self.local / "airflow", self.local / "logs"
        self.roles = self.local / "roles"

    def read(self) -> Stack | None:
        """The recorded stack, or None where none is recorded or the record cannot be read."""
        try:
            return Stack.model_validate_json(self.record.read_text())
        except (OSError, ValidationError):  # another user's, where a folder of theirs is closed to us
            return None

    def write(self, stack: Stack) -> None:
        write_private(self.record, stack.model_dump_json(indent=1))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the place while the stack is started or stopped; refuse where another command does."""
        with open_log(make_folder(self.local) / "lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BadConfiguration(
                    "another command starts or stops the stack at this moment",
                    where=str(self.local), do="Wait for it to finish.",
                ) from None  # fmt: skip
            yield

    def client(self, stack: Stack) -> AirflowClient:
        password = airflow_server.password(self.airflow_home)
        return AirflowClient(stack.ui, airflow_server.USERNAME, password)


def up(place: Place, bucket: str, run: Mapping[str, str], say: Say = print) -> Stack:
    """Start S3 and Airflow and return when both answer; ``run`` are variables that go before ours.

    Refuses (BadConfiguration) where the recorded stack still runs; what is left of one that broke
    is stopped first. Where starting fails or is interrupted, everything started so far is stopped.
    """
    with place.locked():
        _make_way(place, say)
        started: list[StartedProcess] = []
        try:
            return _start(place, bucket, run, started, say)
        except BaseException:
            say("Stopping what was started")
            for process in reversed(started):
                _end(process)
            place.record.unlink(missing_ok=True)
            raise


def down(place: Place, say: Say = print) -> int:
    """Stop every process of the recorded stack and no other; returns how many ended. Data stays."""
    with place.locked():
        return _stop_recorded(place, say)


def _make_way(place: Place, say: Say) -> None:
    stack = place.read()
    if stack is None:
        return
    if stack.is_running():
        raise BadConfiguration(
            "the stack runs already", where=stack.ui, found=f"recorded in {place.record}",
            do="Use it, or stop it with `make down`.",
        )  # fmt: skip
    if stack.leftovers():
        say("A part of an earlier stack still runs: stopping it first")
    _stop_recorded(place, say)


def _stop_recorded(place: Place, say: Say) -> int:
    stack = place.read()
    if stack is None:
        place.record.unlink(missing_ok=True)
        return 0
    ended = 0
    for process in reversed(stack.leftovers()):
        count = _end(process)
        say(f"Stopped {process.name} ({count} processes)")
        ended += count
    place.record.unlink(missing_ok=True)
    return ended


def _end(process: StartedProcess) -> int:
    files = seaweedfs.socket_files(process.pid) if process.name == "SeaweedFS" else []
    ended = stop(process, _PATIENCE[process.name])
    for file in files:
        file.unlink(missing_ok=True)
    return ended


def _start(
    place: Place, bucket: str, run: Mapping[str, str], started: list[StartedProcess], say: Say
) -> Stack:
    for folder in (place.local, place.logs, place.airflow_home):
        make_folder(folder)
    say("Starting the S3 server (SeaweedFS)")
    pairs = write_identities(place.local / "s3" / "identities.json", bucket)
    s3 = seaweedfs.start(place.local / "s3")
    started.append(StartedProcess.of("SeaweedFS", s3.pid))
    place.write(Stack(s3_endpoint=s3.endpoint, bucket=bucket, processes=tuple(started)))
    _make_bucket(s3, bucket)
    write_roles(place.roles, pairs, s3.endpoint, bucket)

    say("Starting Airflow (about 30 s on two cores)")
    airflow_server.password(place.airflow_home)
    values = _environment(place, s3.endpoint, bucket, run)
    person = variables_of(place.roles, PERSON)
    write_environment(place.env, values | {name: person[name] for name in AWS_PAIR})
    log = place.logs / "airflow.log"
    pid = airflow_server.launch({**isolated(), **values}, place.roles, log)
    started.append(StartedProcess.of("Airflow", pid))
    stack = Stack(
        s3_endpoint=s3.endpoint, bucket=bucket, ui=values["AIRFLOW__API__BASE_URL"], processes=tuple(started)
    )
    place.write(stack)
    airflow_server.wait_until_healthy(place.client(stack), stack.is_running, log)
    return stack


def _make_bucket(s3: seaweedfs.S3Server, bucket: str) -> None:
    """By the administrator, whose credential no other process gets and no variable holds."""
    own = {"s3_endpoint": s3.endpoint, "bucket": bucket}
    pair = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
    ObjectStore.connect(Settings.load(own | pair)).ensure_bucket()


def _environment(place: Place, endpoint: str, bucket: str, run: Mapping[str, str]) -> dict[str, str]:
    """What every process of the stack has; how the store is signed in to is not among it."""
    previous = read_environment(place.env)
    airflow = airflow_server.airflow_environment(place.project, place.airflow_home, free_ports(3), previous)
    return {
        "PNEUMO_S3_ENDPOINT": endpoint,
        "PNEUMO_BUCKET": bucket,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PNEUMO_TEST_SENDERS": "*",  # there is one sender: who started it
        "PNEUMO_WEIGHTS_PLACES": str(place.local / "weights"),
        "KERAS_HOME": str(keras_home(place)),
        "PNEUMO_CACHE_FOLDER": str(place.local / "cache"),
        "MPLCONFIGDIR": str(place.local / "matplotlib"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "GX_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        **airflow,
        **run,
    }


def keras_home(place: Place) -> Path:
    """Where Keras keeps downloads: below .local/, unless the caller says otherwise or has weights already."""
    if os.environ.get("KERAS_HOME"):
        return Path(os.environ["KERAS_HOME"])
    usual = Path.home() / ".keras"
    return usual if any((usual / "models").glob("vgg16*")) else place.local / "keras"


def is_well(place: Place, stack: Stack, patience: float = 60.0) -> bool:
    """Whether Airflow's parts answer: its main process outlives a scheduler that died inside it."""
    deadline = time.monotonic() + patience
    client = place.client(stack)
    while not client.is_healthy():
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def describe(place: Place) -> list[str]:
    """What runs, where, and how to sign in, a line each."""
    stack = place.read()
    if stack is None or not stack.leftovers():
        return ["Nothing of Pneumo runs here. `make demo` starts it."]
    lines = [
        f"{process.name}: {'running' if process.is_running() else 'broken'}, pid {process.pid}"
        for process in stack.processes
    ]
    if stack.is_running() and not is_well(place, stack, patience=0):
        lines.append("A part of Airflow does not answer: `make down`, then `make demo`, if that lasts.")
    password = airflow_server.password(place.airflow_home)
    return [
        *lines,
        f"Airflow UI: {stack.ui} (login {airflow_server.USERNAME} / {password})",
        f"S3: {stack.s3_endpoint}, bucket {stack.bucket} (a reviewer's credential in {place.env}, "
        f"others in {place.roles})",
        f"Logs: {place.logs}",
    ]


def main() -> None:
    """`python -m pneumo_tasks.local.stack status|down`, which make calls."""
    place, command = Place(), sys.argv[1:]
    try:
        if command == ["status"]:
            print("\n".join(describe(place)))
        elif command == ["down"]:
            ended = down(place)
            print(
                f"Stopped {ended} processes. Data and logs stay in .local/." if ended else "Nothing to stop."
            )
        else:
            raise SystemExit("usage: python -m pneumo_tasks.local.stack status|down")
    except PneumoError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
