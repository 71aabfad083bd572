"""The connection to the store: there, absent, or unknown; and a run keeps to the store that it began in."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse, GetConnection

from pneumo_airflow import connection
from pneumo_airflow.connection import connection_settings, find_connection
from pneumo_tasks import journal
from pneumo_tasks.errors import BadConfiguration, StorageUnavailable
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

THERE = ConnectionResult(
    conn_id="pneumo_s3",
    conn_type="aws",
    host=None,
    schema=None,
    port=None,
    login="key",
    password="secret",
    extra='{"endpoint_url": "http://store:9000", "bucket": "films"}',
)
ABSENT = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": "pneumo_s3"})
FAILED = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503})
Supervisor = Callable[..., list[str]]


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch, environment: None) -> Supervisor:
    """Makes the supervisor of a task, as Airflow's worker has one, give these answers in turn."""
    monkeypatch.setattr(connection, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    def answering(*answers: Any) -> list[str]:
        asked: list[str] = []

        def send(message: GetConnection) -> Any:
            answer = answers[min(len(asked), len(answers) - 1)]
            asked.append(message.conn_id)
            if isinstance(answer, Exception):
                raise answer
            if answer is FAILED:
                raise AirflowRuntimeError(error=answer)
            return answer

        comms = SimpleNamespace(send=send)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
        return asked

    return answering


def test_a_connection_is_read(supervisor: Supervisor) -> None:
    supervisor(THERE)
    found = connection_settings()
    assert (found["s3_endpoint"], found["bucket"]) == ("http://store:9000", "films")


def test_a_connection_that_is_absent_is_none(supervisor: Supervisor) -> None:
    supervisor(ABSENT)
    assert connection_settings() == {}


def test_a_failing_api_server_is_asked_again(supervisor: Supervisor) -> None:
    asked = supervisor(FAILED, FAILED, THERE)
    assert find_connection("pneumo_s3").login == "key"
    assert len(asked) == 3


def test_an_api_server_that_does_not_say_is_no_absence(supervisor: Supervisor) -> None:
    supervisor(FAILED)
    with pytest.raises(StorageUnavailable, match=r"did not say.*503"):
        connection_settings()
    supervisor(BrokenPipeError("the supervisor is gone"))
    with pytest.raises(StorageUnavailable, match="did not say"):
        find_connection("pneumo_signing")


def test_a_required_connection_is_never_done_without(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_REQUIRE_CONNECTION", "true")
    supervisor(ABSENT)
    with pytest.raises(BadConfiguration, match="PNEUMO_REQUIRE_CONNECTION"):
        connection_settings()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    supervisor(THERE)
    assert connection_settings()["bucket"] == "films"


def test_a_run_keeps_to_the_store_that_it_began_in(settings: Settings, store: ObjectStore) -> None:
    journal.record_start(store, "weekly", {"params": {}})
    recorded = store.read_json(layout.run("weekly", "run.json"))["store"]
    assert recorded == {"endpoint": settings.s3_endpoint, "bucket": settings.bucket}
    journal.check_store(store, "weekly")
    other = ObjectStore.connect(settings.model_copy(update={"bucket": f"{settings.bucket}-other"}))
    other.ensure_bucket()
    with pytest.raises(BadConfiguration, match="knows nothing of this run"):
        journal.check_store(other, "weekly")
    other.put_json(layout.run("weekly", "run.json"), {"store": recorded})
    with pytest.raises(BadConfiguration, match=rf"the run's: bucket {settings.bucket} at"):
        journal.check_store(other, "weekly")


def test_a_run_from_before_stores_were_recorded_goes_on(store: ObjectStore) -> None:
    store.put_json(layout.run("old", "run.json"), {"run_id": "old"})
    journal.check_store(store, "old")
