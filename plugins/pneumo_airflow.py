"""What the DAGs and the pages share: settings with Airflow's connection, params, stages, retries."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, ExceptionRetryPolicy, Param, RetryAction, RetryRule, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException

from pneumo_tasks.errors import FinalError, RetryableError
from pneumo_tasks.settings import RUN_PARAMS, Settings

if TYPE_CHECKING:
    from pneumo_tasks.object_store import ObjectStore

DAG_ID = "pneumonia_retraining"
CONNECTION_ID = "pneumo_s3"


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
    from pneumo_tasks import journal

    allow_children()
    context = get_current_context()
    run_id = context["run_id"]
    settings = run_settings(dict(context["params"]))
    store = open_store(settings)
    with journal.stage(store, run_id, context["ti"].task_id, part):
        yield Stage(settings, store, run_id, context)


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
    from pneumo_tasks.object_store import ObjectStore

    return ObjectStore.connect(settings)


def connection_settings() -> dict[str, Any]:
    """Endpoint and credentials of the connection ``pneumo_s3``; empty where the environment has them."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    try:
        connection = BaseHook.get_connection(CONNECTION_ID)
    except AirflowNotFoundException:
        return {}
    extra = connection.extra_dejson
    return {
        "s3_endpoint": extra.get("endpoint_url"),
        "s3_region": extra.get("region_name"),
        "bucket": extra.get("bucket"),
        "s3_access_key": connection.login,
        "s3_secret_key": connection.password,
    }


def run_params(settings: Settings) -> dict[str, Param]:
    """One param for each setting a run may choose: same default, type, range and description."""
    schema = Settings.model_json_schema()["properties"]
    return {name: _param(getattr(settings, name), schema[name]) for name in RUN_PARAMS}


def _param(value: object, schema: dict[str, Any]) -> Param:
    rules = {key: schema[key] for key in ("type", "minimum", "maximum", "pattern") if key in schema}
    for choice in schema.get("anyOf", []):
        kinds = [*rules.get("type", []), choice["type"]]
        rules = {
            **rules,
            **{key: choice[key] for key in ("minimum", "maximum") if key in choice},
            "type": kinds,
        }
    return Param(value, description=schema.get("description"), **rules)


def record_failure(context: Mapping[str, Any]) -> None:
    """Failure callback: write into the run why it failed, so that it can be read without Airflow."""
    from pneumo_tasks import journal

    store = open_store(Settings.load(connection_settings()))
    journal.record_failure(store, context["run_id"], context["ti"].task_id, str(context.get("exception")))
