"""What every DAG of ours keeps to, and what parsing it costs."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS
from pneumo_tasks.promotion.runs.state import ORDER
from pneumo_tasks.settings import RUN_PARAMS, RUN_SECTIONS, Settings
from pneumo_tasks.training.augmentation import KINDS
from pneumo_tasks.training.recipes import RECIPES

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = ["tensorflow", "keras", "great_expectations", "boto3", "botocore", "sklearn", "pandas", "matplotlib"]

PARSE = f"""
import json, sys, time
import airflow.sdk, pydantic_settings                        # Airflow's own and our validator's cost
from airflow.sdk import dag, task, AssetOrTimeSchedule, DeadlineAlert, ExceptionRetryPolicy, Param, TaskGroup
from airflow.sdk import BaseHook, BaseNotifier, BaseOperatorLink, SyncCallback, TriggerRule
import airflow.timetables.trigger, airflow.providers.standard.operators.hitl
import airflow.providers.standard.decorators.python
sys.path[:0] = ["plugins", "dags"]
started = time.process_time()
import pneumonia_retraining, champion_rollback, champion_watch
seconds = time.process_time() - started
print(json.dumps({{"seconds": seconds, "heavy": [m for m in {HEAVY!r} if m in sys.modules]}}))
"""


@pytest.fixture(scope="module")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = str(tmp_path_factory.mktemp("airflow"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PNEUMO_", "AIRFLOW_"))}
    return {**kept, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def run_python(code: str, environment: dict[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_parsing_takes_under_a_second_of_our_own_time_and_imports_nothing_heavy(
    airflow_environment: dict[str, str],
) -> None:
    found = min(
        (run_python(PARSE, airflow_environment) for _ in range(2)), key=lambda answer: answer["seconds"]
    )
    assert found["heavy"] == []
    assert found["seconds"] < 1.0


DESCRIBE = """
import json, sys
sys.path[:0] = ["plugins", "dags"]
from pathlib import Path
from airflow.sdk import DAG
import importlib
answer = {}
for file in Path("dags").glob("*.py"):
    module = importlib.import_module(file.stem)
    for dag in [value for value in vars(module).values() if isinstance(value, DAG)]:
        answer[dag.dag_id] = {
            "doc": dag.doc_md or "", "run_timeout": dag.dagrun_timeout is not None,
            "tags": sorted(dag.tags), "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "timetable": type(getattr(dag.timetable, "timetable", dag.timetable)).__name__,
            "groups": sorted(name for name in dag.task_group_dict if name),
            "params": {k: p.schema | {"default": p.value, "help": p.description}
                       for k, p in ((k, dag.params.get_param(k)) for k in dag.params)},
            "tasks": {t.task_id: {
                "owner": t.owner, "retries": t.retries, "queue": t.queue, "pool": t.pool,
                "timeout": (getattr(t, "response_timeout", None) or t.execution_timeout) is not None,
                "policy": t.retry_policy is not None,
                "upstream": sorted(t.upstream_task_ids)} for t in dag.tasks},
        }
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def dags(airflow_environment: dict[str, str]) -> dict[str, Any]:
    return run_python(DESCRIBE, airflow_environment)


def test_every_dag_says_what_it_is_and_what_to_do_when_a_task_fails(dags: dict[str, Any]) -> None:
    assert dags, "no DAG was found: bind the DAG to a module-level name"
    for dag_id, dag in dags.items():
        assert "pneumo" in dag["tags"], dag_id
        assert not dag["catchup"], dag_id
        assert dag["max_active_runs"] == 1, dag_id
        assert dag["run_timeout"], dag_id
        assert "─►" in dag["doc"], f"{dag_id}: no picture of the flow"
        explained = set(re.findall(r"`(\w+)`", dag["doc"].split("### Triage")[1]))
        assert set(dag["tasks"]) <= explained, f"{dag_id}: triage notes lack {set(dag['tasks']) - explained}"


def test_every_task_has_an_owner_retries_a_policy_and_a_time_limit(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        for name, task in dag["tasks"].items():
            assert task["owner"] == "pneumo", f"{dag_id}.{name}"
            assert task["retries"] >= 1, f"{dag_id}.{name}"
            assert task["policy"], f"{dag_id}.{name}"
            assert task["timeout"], f"{dag_id}.{name}"


def test_training_runs_on_the_gpu_queue_and_nothing_else_does(dags: dict[str, Any]) -> None:
    tasks = dags["pneumonia_retraining"]["tasks"]
    on_gpu = {name for name, task in tasks.items() if task["queue"] == "gpu"}
    assert on_gpu == {
        "extract_features", "score_unseen", "train_head", "fine_tune_block5", "export_candidate",
        "evaluate_candidate",
    }  # fmt: skip
    assert all(tasks[name]["pool"] == "gpu" for name in on_gpu)


def test_the_watch_needs_no_accelerator_and_asks_before_it_writes_an_answer(dags: dict[str, Any]) -> None:
    tasks = dags["champion_watch"]["tasks"]
    assert {(task["queue"], task["pool"]) for task in tasks.values()} == {("default", "default_pool")}
    assert tasks["review_alarm"]["upstream"] == ["ask_for_review"]
    assert tasks["record_answer"]["upstream"] == ["review_alarm", "watch_outcomes"]
    acting = {"promote_model", "move_champion", "train_head"}
    assert not acting & set(tasks)


def test_the_data_flow_one_way(dags: dict[str, Any]) -> None:
    tasks = dags["pneumonia_retraining"]["tasks"]
    assert tasks["promote_model"]["upstream"] == ["approve_promotion", "ask_for_approval", "decide_promotion"]
    assert dags["pneumonia_retraining"]["groups"] == ["data", "judgement", "promotion", "training"]
    story = [
        "discover_batches", "validate_batch", "assemble_dataset", "compute_class_balance", "extract_features",
        "score_unseen", "train_head", "fine_tune_block5", "export_candidate", "evaluate_candidate",
        "decide_promotion", "write_report", "ask_for_approval", "approve_promotion", "promote_model",
        "close_run",
    ]  # fmt: skip
    for before, after in pairwise(story):
        assert before in tasks[after]["upstream"], f"{after} does not wait for {before}"


def test_the_schedule_can_be_turned_off(airflow_environment: dict[str, str], dags: dict[str, Any]) -> None:
    assert dags["pneumonia_retraining"]["timetable"] == "WeeklyRuns"
    assert dags["champion_watch"]["timetable"] == "DailyRuns"
    off = run_python(
        DESCRIBE, {**airflow_environment, "PNEUMO_SCHEDULE": "none", "PNEUMO_WATCH_SCHEDULE": "none"}
    )
    assert off["champion_watch"]["timetable"] == "RunsOnRequest"
    assert off["pneumonia_retraining"]["timetable"] == "RunsOnRequest"


def test_the_form_offers_what_a_run_may_choose_and_leaves_what_the_protocol_governs_empty(
    dags: dict[str, Any],
) -> None:
    params, settings = dags["pneumonia_retraining"]["params"], Settings()
    assert tuple(params) == RUN_PARAMS
    for name, param in params.items():
        default = None if name in DIRECTIONS else getattr(settings, name)
        shown = list(default) if isinstance(default, tuple) else None if default == "" else default
        assert param["default"] == shown, name
        assert param["help"], f"{name} has no help"
        assert len(param["help"]) <= 100, f"{name}: more than a line of help"
        assert param["section"] in RUN_SECTIONS, name
        assert param["title"], name
    assert params["recipe"]["enum"] == list(RECIPES)
    assert params["augmentation"]["enum"] == [None, "none", *KINDS]
    assert set(params["threshold_policy"]["enum"]) == {None, "target_recall", "youden", "cost"}
    for name in ("min_recall", "min_precision", "target_recall", "recall_margin"):
        assert (params[name]["type"], params[name]["minimum"], params[name]["maximum"]) == (
            ["number", "null"], 0, 1,
        )  # fmt: skip


def test_a_trial_in_one_process_has_no_deadline_which_airflow_fails_on_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pneumo_airflow.stages import deadline

    assert deadline(Settings()) is not None
    monkeypatch.setattr(sys, "argv", ["airflow", "dags", "test", "pneumonia_retraining"])
    assert deadline(Settings()) is None


def test_the_state_of_a_run_knows_the_order_of_its_tasks(dags: dict[str, Any]) -> None:
    tasks = dags["pneumonia_retraining"]["tasks"]
    assert set(ORDER) == set(tasks) - {"close_run"}
    for name in ORDER:
        assert all(ORDER.index(before) < ORDER.index(name) for before in tasks[name]["upstream"]), name
