"""What the DAGs and the pages share: settings with Airflow's connection, running tasks, retries, limits."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import (  # type: ignore[attr-defined]  # three are missing in the declarations of 3.3
    DeadlineAlert,
    DeadlineReference,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    SyncCallback,
    get_current_context,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from pydantic import SecretStr

from pneumo_airflow.connection import connection_settings as connection_settings
from pneumo_airflow.connection import find_connection
from pneumo_airflow.hung_tasks import end_where_it_hangs
from pneumo_airflow.links import page_url
from pneumo_tasks import journal
from pneumo_tasks.errors import FinalError, RetryableError
from pneumo_tasks.run import Run
from pneumo_tasks.secret_values import guard_logging
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore

Handed = TypeVar("Handed")

DAG_ID = "pneumonia_retraining"
ROLLBACK_DAG_ID = "champion_rollback"
WATCH_DAG_ID = "champion_watch"
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
class RunningTask:
    """What a task hands to the product, the run; and what it tells Airflow by, its context."""

    run: Run
    context: Mapping[str, Any]


def running_task() -> RunningTask:
    """The task that is running now, with its run opened."""
    allow_children()
    context = get_current_context()
    end_where_it_hangs(context)
    return opened(context)


def handed(value: Handed | None, by: str) -> Handed:
    """What an earlier task handed over; AirflowFailException where it handed nothing over.

    A task that was marked as successful by hand has done nothing, and nothing may be built on it.
    """
    if value is None:
        raise AirflowFailException(
            f"{by} handed nothing over: it failed, it was marked by hand without having run, or Airflow has "
            f"forgotten what it said. Clear {by} and what follows it."
        )
    return value


def told(**earlier: Any) -> Run:
    """The run of the task that is running, which believes what earlier tasks told: XComs, not the bucket.

    Each is what the task of that name returned, or a list of that for a mapped task. AirflowFailException
    where one of them handed nothing over.
    """
    run, digests = running_task().run, dict[str, str]()
    for by, result in earlier.items():
        for one in _flat(result):
            digests |= handed(one, by).get("digests", {})
    return replace(run, told=digests)


def _flat(result: Any) -> Iterator[Any]:
    """What one task told, or each of the tasks of a mapped one, in groups of any depth."""
    if result is None or isinstance(result, Mapping):
        yield result
        return
    for one in result:
        yield from _flat(one)


def attempt(context: Mapping[str, Any]) -> journal.Attempt:
    """Which try of which task is running, as the bucket knows it."""
    instance = context["ti"]
    place, number = getattr(instance, "map_index", None), getattr(instance, "try_number", None)
    return journal.Attempt(instance.task_id, -1 if place is None else place, number or 1)


def opened(context: Mapping[str, Any]) -> RunningTask:
    """The settings and the bucket of a task; a run of ours notes that the task began, but for its last.

    BadConfiguration where the run, or the environment of this worker, loosens the protocol.
    """
    from pneumo_tasks.promotion.protocol.governing import govern_run

    guard_logging()
    run_id, instance = layout.check_run_id(context["run_id"]), context["ti"]
    settings = run_settings(dict(context["params"]))
    store = open_store(with_signing_key(settings))
    if instance.dag_id == DAG_ID and instance.task_id != CLOSING_TASK:
        journal.record_begin(store, run_id, attempt(context))
        settings = govern_run(settings, store, run_id).settings
    return RunningTask(Run(settings, store, run_id), context)


def note_begin(context: Mapping[str, Any]) -> None:
    """Note in the bucket that a task of a run of ours began which opens nothing else there."""
    if context["ti"].dag_id == DAG_ID:
        store = open_store(Settings.load(connection_settings()))
        journal.record_begin(store, layout.check_run_id(context["run_id"]), attempt(context))


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
    config["authkey"] = process.AuthenticationString(bytes(config["authkey"]))  # type: ignore[attr-defined]


def run_settings(params: Mapping[str, Any]) -> Settings:
    """The settings of a run: environment and connection, with the run's params over them."""
    return Settings.for_run(params, connection_settings())


def open_store(settings: Settings) -> "ObjectStore":
    from pneumo_tasks.storage.object_store import ObjectStore

    return ObjectStore.connect(settings)


def with_signing_key(settings: Settings) -> Settings:
    """The settings with the key to sign with: the connection's, where it exists.

    Every task has it for the evidence that it writes (see ``opened``); decisions, versions and rollbacks are
    signed by the tasks that make them, and by no other.
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
    """Failure callback: write into the run why, so that it can be read without Airflow, and tell people.

    What is written does not wait for a channel, and a channel does not wait for a bucket that is away.
    """
    from pneumo_airflow.notices import send_notice

    closing = (context["ti"].dag_id, context["ti"].task_id) == (DAG_ID, CLOSING_TASK)
    if closing and isinstance(context.get("exception"), AirflowFailException):
        return  # it says of the run what was told and written before
    run_id, task, reason = context["run_id"], context["ti"].task_id, why_failed(context)
    try:
        if context["ti"].dag_id == DAG_ID and not closing and not run_id.startswith(layout.COMPARED):
            store, failed = open_store(Settings.load(connection_settings())), attempt(context)
            journal.record_failure(store, run_id, task, reason, failed.place, failed.number)
    finally:
        url = page_url("run", run_id=run_id)
        send_notice(context, f"Pneumo: {task} failed", f"{run_id}: {reason}", url)


def why_failed(context: Mapping[str, Any]) -> str:
    """What the task's exception says, for people: of a time limit, which one."""
    error = context.get("exception")
    if isinstance(error, AirflowTaskTimeout):
        limit = getattr(context["ti"].task, "execution_timeout", None)
        return f"{context['ti'].task_id} took longer than its limit of {limit}"
    return str(error) or type(error).__name__


def deadline(settings: Settings) -> DeadlineAlert | None:
    """Tells people when a run takes longer than ``late_hours``; None where that is 0.

    None in `airflow dags test` too: nobody watches deadlines there, and Airflow 3.3 fails on one.
    """
    if not settings.late_hours or sys.argv[1:3] == ["dags", "test"]:
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
