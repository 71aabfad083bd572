"""An Airflow in this process whose scheduler goes one step at a time: an operator can act between two.

The database, the API, our pages, the rules on which task is next, and every task are Airflow's and ours.
What is missing is time: no executor, no heartbeat. Tasks run here, one after the other.
"""

import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from fastapi.testclient import TestClient

from pneumo_airflow.ended_runs import TELLING
from pneumo_airflow.stages import open_store, opened
from pneumo_tasks import journal
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training import recipes
from pneumo_tasks.training.recipe import Recipe

DAGS = Path(__file__).resolve().parents[2] / "dags"
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
Act = Callable[["SteppedRun", Any], None]


RECIPE = "vgg16-block5"
EASY = {
    "RECIPE": RECIPE, "HEAD_EPOCHS": "2", "FINE_TUNE_EPOCHS": "1", "PRECISION": "float32",
    "MIN_TEST_PATIENTS": "2", "MIN_RECALL": "0", "MIN_PRECISION": "0", "MIN_AUC": "0",
    "SLICE_MIN_RECALL": "0", "MAX_OCCLUSION_SHIFT": "1", "MAX_LATENCY_SECONDS": "60", "FREE_STEP": "1",
    "RECALL_MARGIN": "1", "PRECISION_MARGIN": "1", "ORIGINAL_RECALL_MARGIN": "1",
    "ORIGINAL_PRECISION_MARGIN": "1", "LATE_HOURS": "0",
}  # fmt: skip


def hand_in_phantoms(settings: Settings, store: ObjectStore, folder: Path) -> None:
    """Draw 64 phantoms below ``folder``, and send them as a train and a test batch."""
    write_phantoms(folder, draw_phantoms(train_per_label=24, test_per_label=8))
    upload_batch(settings, store, folder / "train", "train-1", "train", synthetic=True)
    upload_batch(settings, store, folder / "test", "test-1", "test", synthetic=True)


def shrunk_recipe() -> Recipe:
    """The recipe that a stepped run trains by, at a third of its side."""
    return dataclasses.replace(recipes.RECIPES[RECIPE], image_size=48)


@dataclass
class SteppedAirflow:
    """``api`` is a signed-in admin of Airflow's own API server."""

    api: TestClient
    dags: dict[str, Any] = field(default_factory=dict)

    def sign_in(self, name: str) -> None:
        self.api.cookies.clear()
        self.api.headers.pop("Authorization", None)
        answer = self.api.post("/auth/token", json={"username": name, "password": name})
        self.api.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def read_dags(self) -> None:
        """Read our DAG files into the database, as the DAG processor does."""
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

        DagBundlesManager().sync_bundles_to_db()
        bag = BundleDagBag(dag_folder=DAGS, bundle_path=DAGS, bundle_name="dags-folder")
        assert not bag.import_errors, bag.import_errors
        sync_bag_to_db(bag, "dags-folder", None)
        self.dags = dict(bag.dags)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self.api.request(method, f"/api/v2{path}", json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:600]}"
        return answer.json()

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, **given: Any) -> "SteppedRun":
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        body = {"logical_date": None, "conf": dict(conf or {}), **given}
        return SteppedRun(self, dag_id, self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])


@dataclass
class SteppedRun:
    airflow: SteppedAirflow
    dag_id: str
    run_id: str

    # ---- what an operator does -------------------------------------------------------------

    @property
    def path(self) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{quote(self.run_id, safe='')}"

    def mark(self, task: str, state: str) -> None:
        for place in self.places(task):
            self.airflow.call("PATCH", f"{self.path}/taskInstances/{task}{place}", {"new_state": state})

    def mark_run(self, state: str) -> None:
        self.airflow.call("PATCH", self.path, {"state": state})
        settle()

    def clear(self, task: str, downstream: bool) -> None:
        self.airflow.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", {
            "dry_run": False, "dag_run_id": self.run_id, "task_ids": [task], "only_failed": False,
            "include_downstream": downstream, "reset_dag_runs": True,
        })  # fmt: skip

    def answer(self, task: str, option: str, reason: str) -> None:
        path = f"{self.path}/taskInstances/{task}/-1/hitlDetails"
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        self.airflow.call("PATCH", path, body)

    # ---- what is seen ----------------------------------------------------------------------

    @property
    def state(self) -> str:
        return str(self.airflow.call("GET", self.path)["state"])

    @property
    def note(self) -> str:
        return str(self.airflow.call("GET", self.path)["note"] or "")

    def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.airflow.call("GET", f"{self.path}/taskInstances?limit=100")[
            "task_instances"
        ]
        return found

    def states(self) -> dict[str, str]:
        """The state of each task; of a mapped one, that of its last place."""
        return {task["task_id"]: task["state"] for task in self.tasks()}

    def places(self, task: str) -> list[str]:
        found = [one["map_index"] for one in self.tasks() if one["task_id"] == task]
        return [f"/{place}" if place >= 0 else "" for place in found]

    # ---- the scheduler ---------------------------------------------------------------------

    def go_on(self, before: Mapping[str, Act] | None = None, until: str = "") -> None:
        """Run what is next until nothing is, or the task ``until`` is next.

        ``before`` holds what happens in place of the first start of a task, once; it gets the run and
        the task's instance.
        """
        acts, seen = dict(before or {}), None
        for _ in range(200):
            scheduled = self._schedule()
            if until in [ti.task_id for ti in scheduled]:
                return
            settle()
            if not scheduled and seen == (seen := (self.state, self.states())):
                return  # two decisions without a change: nothing is next
            for ti in scheduled:
                if act := acts.pop(ti.task_id, None):
                    act(self, ti)
                    break
                self._run(ti)
        raise AssertionError(f"{self.run_id} does not come to an end: {self.states()}")

    def kill(self, ti: Any, for_good: bool = False) -> None:
        """The task has begun, and its process is gone: no callback runs; Airflow tries again or not."""
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState

        if ti.task_id in self.opening_tasks():
            store = open_store(Settings.load())
            journal.record_begin(store, self.run_id, journal.Attempt(ti.task_id, ti.map_index, ti.try_number))
        with create_session() as session:
            found = session.merge(ti)
            found.state = TaskInstanceState.FAILED if for_good else TaskInstanceState.UP_FOR_RETRY
            found.start_date = found.end_date = timezone_now()

    def overrun(self, ti: Any) -> None:
        """The task takes longer than it may, at its last try."""
        from airflow.utils.session import create_session

        task = self.airflow.dags[self.dag_id].task_dict[ti.task_id]
        opens = ti.task_id in self.opening_tasks()
        with create_session() as session:
            session.merge(ti).max_tries = ti.try_number - 1

        def sleep(context: Any) -> None:
            if opens:
                opened(context)
            time.sleep(10)

        with _replaced(task, sleep, timedelta(seconds=1)):
            self._run(ti)

    def let_nobody_answer(self, task: str) -> None:
        """The time for an answer runs out."""
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.utils.session import create_session

        with create_session() as session:
            (ti,) = [ti for ti in self._dag_run(session).get_task_instances() if ti.task_id == task]
            session.merge(ti).trigger_timeout = timezone_now() - timedelta(hours=1)
        SchedulerJobRunner(Job()).check_awaiting_input_timeouts()

    def opening_tasks(self) -> set[str]:
        """The tasks that open the bucket before anything else."""
        without = {"list_shards", "close_run"}
        return set(self.airflow.dags[self.dag_id].task_dict) - without

    def time_out(self) -> None:
        """Let the run have begun before its time limit, and the scheduler look at it."""
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.utils.session import create_session

        scheduler = SchedulerJobRunner(Job())
        with create_session() as session:
            run = self._dag_run(session)
            run.start_date -= timedelta(days=40)
            scheduler._schedule_dag_run(run, session)
        settle()

    def _schedule(self) -> list[Any]:
        """One decision of the scheduler: the task instances that may start now."""
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState, TaskInstanceState

        with create_session() as session:
            run = self._dag_run(session)
            if run.state == DagRunState.QUEUED:
                run.state, run.start_date = DagRunState.RUNNING, run.start_date or timezone_now()
            if run.state != DagRunState.RUNNING:
                return []
            for ti in run.get_task_instances(session=session):
                if ti.state == TaskInstanceState.UP_FOR_RETRY:  # nobody waits for the delay here
                    ti.end_date = timezone_now() - timedelta(hours=1)
            run.dag = DBDagBag().get_dag_for_run(run, session=session)
            ready, _ = run.update_state(session=session, execute_callbacks=False)
            for ti in ready:
                ti.try_number += 1
                ti.state, ti.scheduled_dttm = TaskInstanceState.SCHEDULED, timezone_now()
            session.flush()
            found = run.get_task_instances(session=session)
            scheduled = [ti for ti in found if ti.state == TaskInstanceState.SCHEDULED]
            session.expunge_all()
        return scheduled

    def _dag_run(self, session: Any) -> Any:
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        return session.scalar(select(DagRun).filter_by(dag_id=self.dag_id, run_id=self.run_id))

    def _run(self, ti: Any) -> None:
        from airflow.sdk.definitions.dag import _run_task

        with _own_main():
            _run_task(ti=ti, task=self.airflow.dags[self.dag_id].task_dict[ti.task_id])


def timezone_now() -> Any:
    from airflow._shared.timezones import timezone

    return timezone.utcnow()


@contextmanager
def _replaced(task: Any, execute: Callable[[Any], None], limit: timedelta) -> Iterator[None]:
    """The task, mapped or not, with other work and another time limit."""
    if task.is_mapped:
        named = {"execute": lambda _self, context: execute(context)}
        with patch.multiple(task.operator_class, **named), patch.dict(task.partial_kwargs, {
            "execution_timeout": limit,
        }):  # fmt: skip
            yield
    else:
        with patch.multiple(task, execute=execute, execution_timeout=limit):
            yield


def settle() -> None:
    """Wait until the bucket has been told what ended."""
    for thread in threading.enumerate():
        if thread.name == TELLING:
            thread.join(60)


@contextmanager
def _own_main() -> Iterator[None]:
    """A task may change how its process was started (``allow_children``); this process is no task."""
    main = sys.modules["__main__"]
    before = {name: getattr(main, name, None) for name in ("__spec__", "__file__")}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(main, name, value)
