"""The trigger form: what Airflow itself refuses, and what only the params together can tell."""

from typing import Any

import pytest
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from pneumo_airflow.form import MOST_BYTES, check_params, run_params
from pneumo_airflow.form_bounds import FormBounds
from pneumo_airflow.stages import DAG_ID
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.protocol.activation import activate
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.promotion.protocol.test_governing import IN_THE_FORM, LOOSER, WHY, bare, strict  # noqa: F401

TRIGGER = f"/api/v2/dags/{DAG_ID}/dagRuns"

IMPOSSIBLE = [
    ({"recipe": "article-vgg16-head", "fine_tune_epochs": 3}, "fine-tunes nothing"),
    ({"augmentation": "none", "variants": 2}, "contradict"),
    ({"augmentation": "article", "variants": 0}, "contradict"),
    ({"augmentation": "sepia"}, "not a kind"),
    ({"recipe": "alexnet"}, "not a recipe"),
    ({"s3_endpoint": "http://elsewhere"}, "unknown params s3_endpoint"),
    ({"min_recall": 1.5}, "min_recall"),
    ({"batches": ["../x"]}, "batches"),
]


@pytest.mark.parametrize(("params", "said"), IMPOSSIBLE)
def test_what_no_run_can_do_is_refused_with_a_message(
    environment: None, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadConfiguration, match=said):
        check_params(params)


def test_no_field_of_the_form_is_asked_for_and_empty(environment: None) -> None:
    """Airflow keeps the button grey while a field without ``null`` among its types is empty."""
    params = run_params(Settings.load())
    empty = {name: param.schema["type"] for name, param in params.items() if param.value in (None, "", [])}
    assert {"batches", "sideways", "min_recall"} <= set(empty)
    assert [name for name, kinds in empty.items() if "null" not in kinds] == []


def test_the_defaults_of_the_form_can_be_run(environment: None) -> None:
    params = {name: param.resolve() for name, param in run_params(Settings.load()).items()}
    check_params(params)
    check_params({})


@pytest.fixture
def admin(anonymous: TestClient) -> TestClient:
    answer = anonymous.post("/auth/token", json={"username": "admin", "password": "admin"})
    anonymous.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return anonymous


@pytest.mark.parametrize(("params", "said"), IMPOSSIBLE)
def test_no_run_is_made_of_an_impossible_request(
    admin: TestClient, params: dict[str, Any], said: str
) -> None:
    answer = admin.post(TRIGGER, json={"logical_date": None, "conf": params})
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


def test_every_other_request_passes_the_check_untouched(admin: TestClient, anonymous: TestClient) -> None:
    good = admin.post(TRIGGER, json={"logical_date": None, "conf": {"force": True}})
    assert good.status_code == 404  # of Airflow: no DAG file was read in this process
    assert (
        admin.post("/api/v2/dags/other/dagRuns", json={"logical_date": None, "conf": {"x": 1}}).status_code
        == 404
    )
    assert admin.post(TRIGGER, content=b"no json").status_code == 422
    assert admin.post(TRIGGER, json=[1]).status_code == 422
    assert admin.get(TRIGGER).status_code == 404
    del anonymous.headers["Authorization"]
    anonymous.cookies.clear()
    assert anonymous.post(TRIGGER, json={"conf": {"recipe": "alexnet"}}).status_code == 401


@pytest.mark.parametrize(
    "made_up",
    [
        {"Cookie": "_token=made-up"},
        {"Cookie": "x=1"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Basic eA=="},
    ],
    ids=["a cookie", "another cookie", "a token", "a password"],
)
def test_a_made_up_login_is_told_no_setting_and_no_protocol(
    anonymous: TestClient, monkeypatch: pytest.MonkeyPatch, made_up: dict[str, str]
) -> None:
    monkeypatch.setenv("PNEUMO_MIN_RECALL", "forty-two")
    for conf in ({"recipe": "alexnet"}, {"force": True}, {"x": 1}):
        answer = anonymous.post(TRIGGER, json={"logical_date": None, "conf": conf}, headers=made_up)
        assert answer.status_code in (401, 403)
        assert not any(word in answer.text for word in ("recipe", "min_recall", "forty-two", "params"))


def test_who_may_read_and_not_trigger_is_refused_by_airflow_alone(reader: TestClient) -> None:
    answer = reader.post(TRIGGER, json={"logical_date": None, "conf": {"recipe": "alexnet"}})
    assert answer.status_code == 403
    assert "recipe" not in answer.text


def test_a_trigger_is_not_parsed_before_its_size_is_known(admin: TestClient, anonymous: TestClient) -> None:
    body = b'{"logical_date": null, "conf": {}' + b" " * MOST_BYTES + b"}"
    answer = admin.post(TRIGGER, content=body)
    assert answer.status_code == 413
    assert str(MOST_BYTES) in answer.json()["detail"]
    pieces = (b" " * 2**16 for _ in range(2**14))  # a gigabyte, of which the first is read
    assert admin.post(TRIGGER, content=pieces).status_code == 413
    del anonymous.headers["Authorization"]
    assert anonymous.post(TRIGGER, content=body).status_code == 413


@pytest.mark.parametrize(("run_id", "said"), [("compare.20261126.vgg16", "reserved"), (":" * 100, "run id")])
def test_a_run_id_that_no_run_can_have_is_refused_when_it_is_triggered(
    admin: TestClient, run_id: str, said: str
) -> None:
    answer = admin.post(TRIGGER, json={"logical_date": None, "dag_run_id": run_id})
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    good = admin.post(TRIGGER, json={"logical_date": None, "dag_run_id": "_x~:+"})
    assert good.status_code == 404  # of Airflow: no DAG file was read in this process


@pytest.mark.parametrize("name", IN_THE_FORM)
def test_no_run_is_made_of_a_request_that_loosens_the_protocol(
    bare: ObjectStore,  # noqa: F811
    admin: TestClient,
    name: str,
) -> None:
    agreed, looser = LOOSER[name]
    answer = admin.post(TRIGGER, json={"logical_date": None, "conf": {name: looser}})
    assert answer.status_code == 400
    assert f"{name} is {looser}, the protocol says {agreed}" in answer.json()["detail"]
    untouched = admin.post(TRIGGER, json={"logical_date": None, "conf": dict.fromkeys(IN_THE_FORM)})
    assert untouched.status_code == 404  # of Airflow: no DAG file was read in this process


def test_the_form_is_told_the_bound_of_the_protocol_that_holds_now(
    settings: Settings,
    bare: ObjectStore,  # noqa: F811
) -> None:
    path = f"/api/v2/dags/{DAG_ID}/details"
    params = {name: param.dump() for name, param in run_params(settings).items()}

    async def airflow(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"dag_id": DAG_ID, "params": params})(scope, receive, send)

    form = TestClient(FormBounds(airflow)).get(path).json()["params"]
    assert form["min_recall"]["schema"]["minimum"] == 0.6
    assert form["recall_margin"]["schema"]["maximum"] == 0.2
    assert form["recall_margin"]["value"] is None
    assert "at least 0.6; left empty" in form["min_recall"]["description"]
    assert "always on" in form["require_approval"]["description"]
    assert form["seed"] == params["seed"]
    activate(settings, bare, strict(starter_may_approve=True), "ada", WHY)
    again = TestClient(FormBounds(airflow)).get(path).json()["params"]
    assert again["min_recall"]["description"] != form["min_recall"]["description"]


def test_a_form_without_a_bucket_is_as_airflow_makes_it(environment: None) -> None:
    async def airflow(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"params": {"min_recall": {"schema": {}}}})(scope, receive, send)

    found = TestClient(FormBounds(airflow)).get(f"/api/v2/dags/{DAG_ID}/details")
    assert found.json() == {"params": {"min_recall": {"schema": {}}}}
