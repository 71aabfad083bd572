"""Following a run of the DAG from a terminal: a line for each task that ended, one for what goes on now."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from pneumo_tasks.errors import StorageUnavailable
from pneumo_tasks.local.airflow_client import AirflowClient
from pneumo_tasks.local.time_left import ENDED, in_words, seconds_left

_MARKS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "upstream_failed": "[red]·[/]"}
_FASTEST, _SLOWEST = 0.5, 5.0  # seconds between two questions to Airflow
_HEALTH_EVERY, _SILENCE = 15.0, 120.0  # seconds; a busy machine may be late with a heartbeat
_PROGRESS = re.compile(r"\bepoch \d+/\d+|^features: \d+ of \d+")


@dataclass(frozen=True)
class FailedTask:
    """A task that failed, the last error in its log, and where that log is."""

    name: str
    error: str
    log: Path


@dataclass(frozen=True)
class EndedRun:
    """How a run ended, in Airflow's terms, and the tasks that made it fail."""

    state: str
    seconds: float
    failed: list[FailedTask]


@dataclass
class RunFollower:
    """Tells ``console`` what happens in one run; ``logs`` is Airflow's log folder on this machine.

    On a terminal what goes on is one line that is drawn again, elsewhere plain lines. ``on_batch`` is
    called with the id of each batch whose validation ended well. From the third stage on it tells how long
    the whole run still takes; ``films`` is the work there is, in films of the phantoms' size.
    """

    client: AirflowClient
    dag_id: str
    run_id: str
    logs: Path
    console: Console
    on_batch: Callable[[str], None] = lambda _: None
    films: float = 0.0
    _told: set[tuple[str, int]] = field(default_factory=set)
    _read: dict[Path, int] = field(default_factory=dict)
    _progress: str = ""
    _left: str = ""
    _well: float = 0.0
    _examined: float = 0.0

    def follow(self) -> EndedRun:
        """Return when the run has ended; StorageUnavailable where Airflow will not end it any more.

        Airflow is asked often while tasks come and go, and seldom while a long one computes: each
        question costs the server a part of a core that the task then lacks.
        """
        started = changed = self._well = self._examined = time.monotonic()
        before: list[Any] = []
        with self.console.status("Waiting for the scheduler") as status:
            while True:
                state = self.client.run_state(self.dag_id, self.run_id)
                instances = self.client.task_instances(self.dag_id, self.run_id)
                over = state in ("success", "failed")
                states = [(task["task_id"], task["map_index"], task["state"]) for task in instances]
                if states != before:
                    before, changed, self._progress = states, time.monotonic(), ""
                self._left = "" if over else self._time_left(instances, changed - started, started)
                self._tell(instances)
                if over:
                    break
                self._examine()
                status.update(", ".join(filter(None, [self._now(instances) + self._progress, self._left])))
                time.sleep(pause(time.monotonic() - changed))
        failed = [self._failed(task) for task in instances if task["state"] == "failed"]
        return EndedRun(state, time.monotonic() - started, failed)

    def _examine(self) -> None:
        """The API server outlives a scheduler that died; the run would be "running" for ever."""
        now = time.monotonic()
        if now - self._examined < _HEALTH_EVERY:
            return
        self._examined = now
        if self.client.is_healthy():
            self._well = now
        elif now - self._well > _SILENCE:
            raise StorageUnavailable(
                "Airflow's scheduler, DAG processor or database has gone silent", where=self.client.url,
                found=f"for {now - self._well:.0f} s, waited for {_SILENCE:.0f} s",
                do="Read .local/logs/airflow.log; `make down`, then `make demo`: the data are kept.",
            )  # fmt: skip

    def _time_left(self, instances: list[dict[str, Any]], since: float, started: float) -> str:
        left = seconds_left(instances, self.films, since, time.monotonic() - started)
        return "" if left is None else f"about {in_words(left)} left"

    def _tell(self, instances: list[dict[str, Any]]) -> None:
        for task in sorted(instances, key=lambda task: task["end_date"] or "9999"):
            if task["state"] in (*ENDED, "running"):
                self._tell_progress(task)
            key = (task["task_id"], task["map_index"])
            if task["state"] in ENDED and key not in self._told:
                self._told.add(key)
                self._tell_end(task)

    def _tell_end(self, task: dict[str, Any]) -> None:
        state = task["state"]
        if state in ("success", "failed"):
            said = f"{task['duration'] or 0:6.1f} s"
        else:
            said = f"{state.replace('_', ' ')}"
        line = f"  {_MARKS.get(state, '[dim]-[/]')} {_name(task):<46} {said:>9}  {self._left}"
        self.console.print(line.rstrip(), highlight=False)
        if task["task_id"] == "validate_batch" and state == "success":
            self.on_batch(str(task["rendered_map_index"]))

    def _tell_progress(self, task: dict[str, Any]) -> None:
        path = self._log(task)
        for event in self._new_events(path):
            text = str(event.get("event", ""))
            if not _PROGRESS.search(text):
                continue
            self._progress = f": {text}"
            if not self.console.is_terminal:
                self.console.print(f"      {text}", markup=False, highlight=False)

    def _new_events(self, path: Path) -> Iterator[dict[str, Any]]:
        """The complete lines that were written since the last look."""
        try:
            with path.open("rb") as log:
                log.seek(self._read.get(path, 0))
                block = log.read()
        except OSError:
            return
        complete = block[: block.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(complete)
        for line in complete.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def _now(self, instances: list[dict[str, Any]]) -> str:
        running = [_name(task) for task in instances if task["state"] == "running"]
        again = [_name(task) for task in instances if task["state"] == "up_for_retry"]
        return ", ".join([*running, *(f"{name} (waits for another try)" for name in again)]) or "scheduling"

    def _failed(self, task: dict[str, Any]) -> FailedTask:
        path = self._log(task)
        self._read.pop(path, None)
        errors = [event for event in self._new_events(path) if event.get("level") in ("error", "critical")]
        return FailedTask(_name(task), _reason(errors[-1]) if errors else "no error in its log", path)

    def _log(self, task: dict[str, Any]) -> Path:
        folder = self.logs / f"dag_id={self.dag_id}" / f"run_id={self.run_id}" / f"task_id={task['task_id']}"
        if task["map_index"] >= 0:
            folder /= f"map_index={task['map_index']}"
        return folder / f"attempt={task['try_number']}.log"


def pause(unchanged: float) -> float:
    """Seconds to wait where nothing has changed for ``unchanged`` seconds."""
    return min(_SLOWEST, max(_FASTEST, unchanged / 6))


def _name(task: dict[str, Any]) -> str:
    if task["map_index"] < 0:
        return str(task["task_id"])
    return f"{task['task_id']} [{task['rendered_map_index'] or task['map_index']}]".replace("[", r"\[")


def _reason(event: dict[str, Any]) -> str:
    details = event.get("error_detail") or []
    if details:
        return f"{details[0].get('exc_type')}: {details[0].get('exc_value')}"
    return str(event.get("event"))
