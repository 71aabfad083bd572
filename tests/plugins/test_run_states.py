"""What the tasks of a run leave in the bucket about how it stands, and what the pages make of it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from fastapi.testclient import TestClient

from pneumo_airflow.stages import CLOSING_TASK, DAG_ID, opened, record_failure
from pneumo_tasks import journal
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.runs.index import close_ended
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

RUN = "_airflow:run+1"


def context(task: str, number: int = 1, place: int = -1, **facts: object) -> dict[str, Any]:
    instance = SimpleNamespace(dag_id=DAG_ID, task_id=task, map_index=place, try_number=number)
    return {"ti": instance, "run_id": RUN, "params": {}, **facts}


def test_a_task_that_is_tried_again_takes_back_its_failure(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    opened(context("train_head", 6))
    record_failure(context("train_head", 6, exception=ValueError("the worker was lost")))
    for path in ("/pneumo/", "/pneumo/run"):
        assert "the worker was lost" in reader.get(path, params={"run_id": RUN}).text
    opened(context("train_head", 7))
    for path in ("/pneumo/", "/pneumo/run"):
        page = reader.get(path, params={"run_id": RUN}).text
        assert "the worker was lost" not in page
        assert "running" in page


class Unwilling:
    """A notifier that ends whatever calls it."""

    def __init__(self) -> None:
        raise KeyboardInterrupt


def test_no_channel_stops_a_failure_from_being_written(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.record_start(store, RUN, {})
    monkeypatch.setenv("PNEUMO_NOTIFIER", json.dumps({"class": f"{__name__}.Unwilling"}))
    with pytest.raises(KeyboardInterrupt):
        record_failure(context("train_head", exception=ValueError("the worker was lost")))
    assert show_run(store, RUN).reason == "the worker was lost"


def test_a_bucket_that_is_away_keeps_nobody_from_being_told(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", "no address")
    monkeypatch.setenv("PNEUMO_NOTIFIER", "{")
    with pytest.raises(BadConfiguration):
        record_failure(context("train_head", exception=ValueError("the worker was lost")))
    assert "no notice by PNEUMO_NOTIFIER" in caplog.text, "it was tried"


def test_the_last_task_says_how_a_run_ends_and_is_no_failure_of_its_own(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    opened(context("train_head"))
    opened(context(CLOSING_TASK))
    assert close_ended(store, RUN).state == "stopped"
    record_failure(context(CLOSING_TASK, exception=AirflowFailException("stopped: ...")))
    assert show_run(store, RUN).state == "stopped"


def test_a_stopped_run_is_shown_as_stopped(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    close_ended(store, RUN)
    assert "stopped before it came to a decision" in reader.get("/pneumo/").text
    assert "running" not in reader.get("/pneumo/run", params={"run_id": RUN}).text
    assert reader.get("/pneumo/", params={"decision": "stopped"}).status_code == 200
    assert reader.get("/pneumo/", params={"decision": "lost-contact"}).status_code == 200


def test_no_task_works_for_a_run_with_a_reserved_id(store: ObjectStore) -> None:
    with pytest.raises(BadConfiguration, match="reserved"):
        opened(context("discover_batches") | {"run_id": "compare.1.vgg16"})
    record_failure(context("discover_batches", exception=ValueError("no")) | {"run_id": "compare.1.vgg16"})
    assert list(store.list_objects(layout.RUNS)) == []


def test_the_tab_of_a_run_of_an_older_release_shows_it(reader: TestClient, store: ObjectStore) -> None:
    run_id = "manual__2026-11-22T03:00:00+00:00"
    former = "manual__2026-11-22T03-00-00-00-00"
    store.put_json(f"runs/{former}/run.json", {"run_id": run_id, "started": journal.now(), "by": "anna"})
    store.put(f"runs/{former}/report.html", b"<p>the report</p>")
    assert "anna" in reader.get("/pneumo/run", params={"run_id": run_id}).text
    assert reader.get("/pneumo/report", params={"run_id": run_id}).text == "<p>the report</p>"
