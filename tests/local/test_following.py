"""Following a run: what the terminal is told, and how often Airflow is asked."""

import io
import json
from pathlib import Path
from typing import Any, cast

from rich.console import Console

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
