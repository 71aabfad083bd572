"""Airflow's connections: there, absent, or unknown. Unknown is never taken for absent."""

import time
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, ErrorType

from pneumo_airflow.connection_fields import fields_as_settings
from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.settings import Settings

CONNECTION_ID = "pneumo_s3"

_PAUSES = (0.0, 1.0, 3.0, 6.0)  # seconds before each time that Airflow is asked


def connection_settings() -> dict[str, Any]:
    """What the connection ``pneumo_s3`` says of the store; empty where there is none: the environment counts.

    With PNEUMO_REQUIRE_CONNECTION its absence is an error.
    """
    connection = find_connection(CONNECTION_ID)
    if connection is None and Settings.load().require_connection:
        raise BadConfiguration(
            f"there is no Airflow connection {CONNECTION_ID}, and PNEUMO_REQUIRE_CONNECTION asks for it",
            do=f"Make it: airflow connections add {CONNECTION_ID} (docs/runbook.md).",
        )
    return {} if connection is None else fields_as_settings(connection)


def find_connection(conn_id: str) -> Any:
    """The connection; None where Airflow says that there is none.

    StorageUnavailable where Airflow does not say: its own look-up takes a failing API server, database
    or secrets backend for "not found", and a task would go on with another store, or without a key.
    """
    reason = ""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            return BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            reason = _why_unknown(conn_id)
        if not reason:
            return None
    raise StorageUnavailable(
        f"Airflow did not say whether there is a connection {conn_id}",
        found=reason,
        do="Look at the API server and the secrets backend; the task is tried again.",
    )


def _why_unknown(conn_id: str) -> str:
    """What failed when each backend is asked by itself; empty where all of them say "not found"."""
    from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    for backend in ensure_secrets_backend_loaded():
        if isinstance(backend, ExecutionAPISecretsBackend):
            reason = _why_the_server_does_not_say(conn_id)
        else:
            try:
                reason = "it was not there, then it was" if backend.get_connection(conn_id) else ""
            except Exception as error:  # noqa: BLE001 - whatever a backend raises, it did not say no
                reason = f"{type(backend).__name__}: {error}"
        if reason:
            return reason
    return ""


def _why_the_server_does_not_say(conn_id: str) -> str:
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    except AirflowRuntimeError as error:
        answer = error.error
    except Exception as error:  # noqa: BLE001 - a broken pipe to the supervisor says nothing either
        return str(error)
    if not isinstance(answer, ErrorResponse):
        return "it was not there, then it was"
    return "" if answer.error == ErrorType.CONNECTION_NOT_FOUND else f"{answer.error.value}: {answer.detail}"
