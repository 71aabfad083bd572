"""What the DAGs and the pages share: settings with Airflow's connection, stages, retries, limits."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    DeadlineAlert,
    DeadlineReference,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    SyncCallback,
    get_current_context,
)
from airflow.sdk.exceptions import AirflowFailException
from pydantic import SecretStr

from pneumo_airflow.connection import connection_settings as connection_settings
from pneumo_airflow.connection import find_connection
from pneumo_airflow.links import page_url
from pneumo_tasks import journal
from pneumo_tasks.errors import FinalError, RetryableError
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore

DAG_ID = "pneumonia_retraining"
FIRST_TASK = "discover_batches"  # it records which store the run uses; every later stage has to use the same
ROLLBACK_DAG_ID = "champion_rollback"
SIGNING_CONNECTION_ID = "pneumo_signing"
CLOSING_TASK = "close_run"


def gpu_placement() -> dict[str, Any]:
    """Queue and pool of the tasks that want an accelerator; more where the installation says so.

    Edge workers are chosen by executor, Kubernetes pods by their template (docs/runbook.md).
    """
    placement: dict[str, Any] = {"queue": "gpu", "pool": "gpu"}
    if executor := os.environ.get("PNEUMO_GPU_EXECUTOR"):
        placement["executor"] = executor
    if template := os.environ.get("PNEUMO_GPU_POD_TEMPLATE"):
        placement["executor_config"] = {"pod_template_file": template}
    return placement


GPU = gpu_placement()

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=FinalError, action=RetryAction.FAIL, reason="trying again cannot help"),
        RetryRule(exception=RetryableError, action=RetryAction.DEFAULT, reason="worth another try"),
        RetryRule(exception=Exception, action=RetryAction.FAIL, reason="unexpected: a defect, not a hiccup"),
    ]
)


@dataclass(frozen=True)
class Stage:
    """What a task hands to the product: the run's settings, the bucket, and the run's id."""

    settings: Settings
    store: "ObjectStore"
    run_id: str
    context: Mapping[str, Any]


@contextmanager
def stage(part: str = "") -> Iterator[Stage]:
    """Open the settings and the bucket for the running task, and record how long it takes."""
    allow_children()
    now = opened(get_current_context())
    task_instance = now.context["ti"]
    if task_instance.dag_id == DAG_ID and task_instance.task_id != FIRST_TASK:
        journal.check_store(now.store, now.run_id)
    with journal.stage(now.store, now.run_id, now.context["ti"].task_id, part):
        yield now


def attempt(context: Mapping[str, Any]) -> journal.Attempt:
    """Which try of which task is running, as the bucket knows it."""
    instance = context["ti"]
    place, number = getattr(instance, "map_index", None), getattr(instance, "try_number", None)
    return journal.Attempt(instance.task_id, -1 if place is None else place, number or 1)


def opened(context: Mapping[str, Any]) -> Stage:
    """The settings and the bucket of a task; a run of ours notes that the task began, but for its last."""
    run_id, instance = layout.check_run_id(context["run_id"]), context["ti"]
    settings = run_settings(dict(context["params"]))
    store = open_store(settings)
    if instance.dag_id == DAG_ID and instance.task_id != CLOSING_TASK:
        journal.record_begin(store, run_id, attempt(context))
    return Stage(settings, store, run_id, context)


def allow_children() -> None:
    """Let a task start processes of its own.

    The pool of a Celery worker marks its processes as daemons, which may have no children, and gives them a
    key that refuses to be handed to one. And a child first runs its parent's main script again: that is
    Airflow's command line, which asks for the database that no task may reach, and fails. Airflow ends a
    task with everything it started, so nothing is orphaned.
    """
    from multiprocessing import process

    main = sys.modules["__main__"]
    main.__spec__ = None
    vars(main).pop("__file__", None)
    config = process.current_process()._config  # type: ignore[attr-defined]
    config.pop("daemon", None)
    config["authkey"] = process.AuthenticationString(bytes(config["authkey"]))


def run_settings(params: Mapping[str, Any]) -> Settings:
    """The settings of a run: environment and connection, with the run's params over them."""
    return Settings.for_run(params, connection_settings())


def open_store(settings: Settings) -> "ObjectStore":
    from pneumo_tasks.storage.object_store import ObjectStore

    return ObjectStore.connect(settings)


def with_signing_key(settings: Settings) -> Settings:
    """The settings with the key that new versions are signed with: the connection's, where it exists.

    Only the task that registers a version asks for it.
    """
    if settings.signing_key is not None:
        return settings
    connection = find_connection(SIGNING_CONNECTION_ID)
    if connection is None:
        return settings
    return settings.model_copy(update={"signing_key": SecretStr(connection.password or "")})


def started_by(context: Mapping[str, Any]) -> str:
    """Who or what started the run of ``context``, as a list of runs shows it."""
    run = context["dag_run"]
    if run.triggering_user_name:
        return str(run.triggering_user_name)
    kind = str(getattr(run.run_type, "value", run.run_type))
    if kind == "asset_triggered":
        named = {str((event.extra or {}).get("batch_id", "?"))[:60] for event in run.consumed_asset_events}
        return f"batch {', '.join(sorted(named)[:5])}"
    return "the schedule" if kind == "scheduled" else kind.replace("_", " ")


def record_failure(context: Mapping[str, Any]) -> None:
    """Failure callback: tell people, and write into the run why, so that it can be read without Airflow."""
    from pneumo_airflow.notices import send_notice

    closing = (context["ti"].dag_id, context["ti"].task_id) == (DAG_ID, CLOSING_TASK)
    if closing and isinstance(context.get("exception"), AirflowFailException):
        return  # it says of the run what was told and written before
    run_id, task, reason = context["run_id"], context["ti"].task_id, str(context.get("exception"))
    send_notice(context, f"Pneumo: {task} failed", f"{run_id}: {reason}", page_url("run", run_id=run_id))
    if context["ti"].dag_id == DAG_ID and not closing and not run_id.startswith(layout.COMPARED):
        store, failed = open_store(Settings.load(connection_settings())), attempt(context)
        journal.record_failure(store, run_id, task, reason, failed.place, failed.number)


def deadline(settings: Settings) -> DeadlineAlert | None:
    """Tells people when a run takes longer than ``late_hours``; None where that is 0."""
    if not settings.late_hours:
        return None
    from pneumo_airflow.notices import run_is_late

    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=settings.late_hours),
        callback=SyncCallback(run_is_late, {"hours": settings.late_hours}),
    )


DEFAULTS: dict[str, Any] = {
    "owner": "pneumo",
    "retries": 5,  # with the delays below: a store or a worker may be away for five minutes
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": timedelta(hours=8),
    "on_failure_callback": record_failure,
}
