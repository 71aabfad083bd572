"""Following a run: what the terminal is told, and how often Airflow is asked."""

import io
import json
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from pneumo_tasks.errors import StorageUnavailable
from pneumo_tasks.local import following
from pneumo_tasks.local.airflow_client import AirflowClient
from pneumo_tasks.local.following import RunFollower, pause


class _EndedRun:
    """Answers as Airflow does for a run that has ended."""

    def __init__(self, instances: list[dict[str, Any]]) -> None:
        self.instances = instances

    def run_state(self, _dag: str, _run: str) -> str:
        return "success"

    def task_instances(self, _dag: str, _run: str) -> list[dict[str, Any]]:
        return self.instances


def _task(name: str, map_index: int = -1, label: str | None = None) -> dict[str, Any]:
    return {
        "task_id": name, "map_index": map_index, "rendered_map_index": label, "state": "success",
        "end_date": "2026-01-01", "duration": 3.0, "try_number": 1,
    }  # fmt: skip


def _follow(tmp_path: Path, *tasks: dict[str, Any], terminal: bool) -> tuple[str, list[str]]:
    said, batches = io.StringIO(), []
    console = Console(file=said, force_terminal=terminal, width=120)
    client = cast("AirflowClient", _EndedRun(list(tasks)))
    RunFollower(client, "dag", "run", tmp_path, console, batches.append).follow()
    return said.getvalue(), batches


def test_airflow_is_asked_seldom_while_a_long_task_computes() -> None:
    assert pause(0) == 0.5
    assert pause(12) == 2
    assert pause(600) == 5


def test_progress_is_a_plain_line_where_there_is_no_terminal_and_no_line_of_its_own_on_one(
    tmp_path: Path,
) -> None:
    log = tmp_path / "dag_id=dag" / "run_id=run" / "task_id=extract_features" / "attempt=1.log"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"event": "features: 64 of 200 images, ETA 9 s"}) + "\n")
    plain, _ = _follow(tmp_path, _task("extract_features"), terminal=False)
    drawn, _ = _follow(tmp_path, _task("extract_features"), terminal=True)
    assert "      features: 64 of 200 images, ETA 9 s\n" in plain
    assert "features: 64 of 200" not in drawn
    assert "extract_features" in drawn


def test_each_batch_whose_validation_ended_well_is_told_once(tmp_path: Path) -> None:
    tasks = [_task("validate_batch", 0, "phantoms-train-1"), _task("assemble_dataset")]
    _, batches = _follow(tmp_path, *tasks, terminal=False)
    assert batches == ["phantoms-train-1"]


class _RunUnderWay(_EndedRun):
    """A run that is under way when first asked, and has ended when asked again."""

    def run_state(self, _dag: str, _run: str) -> str:
        self.instances = [*self.instances, _task("train_head")]
        return "running" if len(self.instances) == 4 else "success"


def test_each_stage_from_the_third_on_tells_how_long_the_whole_run_still_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_FASTEST", 0.0)
    said = io.StringIO()
    tasks = [_task("discover_batches"), _task("validate_batch", 0, "b1"), _task("assemble_dataset")]
    client = cast("AirflowClient", _RunUnderWay(tasks))
    RunFollower(client, "dag", "run", tmp_path, Console(file=said, width=120), films=100).follow()
    lines = [line for line in said.getvalue().splitlines() if line.strip().startswith("\N{CHECK MARK}")]
    assert [line.rstrip().endswith("left") for line in lines] == [True, True, True, True]


class _RunOfADeadScheduler(_EndedRun):
    """The API server answers, the run is "running", and nobody works on it."""

    url = "http://airflow"

    def run_state(self, _dag: str, _run: str) -> str:
        return "running"

    def is_healthy(self) -> bool:
        return False


def test_a_run_that_nobody_schedules_any_more_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_FASTEST", 0.01), ("_SLOWEST", 0.01), ("_HEALTH_EVERY", 0.02), ("_SILENCE", 0.1)):
        monkeypatch.setattr(following, name, value)
    client = cast("AirflowClient", _RunOfADeadScheduler([_task("discover_batches")]))
    with pytest.raises(StorageUnavailable, match=r"gone silent.*make down"):
        RunFollower(client, "dag", "run", tmp_path, Console(file=io.StringIO())).follow()
