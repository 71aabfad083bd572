"""Announcing a batch, to Airflow's own API in this process."""

import pytest
from fastapi.testclient import TestClient

from pneumo_airflow import assets
from pneumo_tasks import journal
from pneumo_tasks.commands import announcing
from pneumo_tasks.commands.announcing import ASSET, announce_batch, find_airflow
from pneumo_tasks.commands.doctor import DoctorLine, examine
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.intake.sent.batches import Batch
from pneumo_tasks.local.airflow_client import AirflowClient
from pneumo_tasks.settings import Settings

BATCH = Batch(batch_id="2026-W47", created_at=journal.now(), images=412, images_csv_sha256="")


@pytest.fixture
def airflow(anonymous: TestClient, monkeypatch: pytest.MonkeyPatch) -> AirflowClient:
    client = AirflowClient("http://testserver", "admin", "admin")
    monkeypatch.setattr(client, "_http", anonymous)
    return client


def test_an_asset_that_no_dag_uses_yet_is_told_and_the_batch_is_safe(airflow: AirflowClient) -> None:
    with pytest.raises(BadConfiguration, match=r"2026-W47 is uploaded, but was not announced: .*no asset"):
        announce_batch(airflow, BATCH)


def test_an_announcement_is_an_event_of_the_asset(airflow: AirflowClient) -> None:
    from airflow.models.asset import AssetActive, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        for name in (ASSET, f"{ASSET}_of_somebody_else"):
            asset = AssetModel(name=name, uri=f"pneumo://{name}", group="pneumo", extra={})
            session.add(asset)
            session.flush()
            session.add(AssetActive.for_asset(asset))
    announce_batch(airflow, BATCH)
    (event,) = airflow._call("GET", "/assets/events")["asset_events"]
    assert event["name"] == ASSET
    assert (event["extra"]["batch_id"], event["extra"]["images"]) == ("2026-W47", 412)


def test_where_there_is_no_airflow_nothing_is_announced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from pneumo_tasks.local import stack

    nowhere = stack.Place(tmp_path_factory.mktemp("nowhere"))
    monkeypatch.setattr(stack, "Place", lambda: nowhere)
    with pytest.raises(BadConfiguration, match="PNEUMO_AIRFLOW_URL"):
        find_airflow(settings)
    named = settings.model_copy(
        update={
            "airflow_url": "https://airflow.example.org/af",
            "airflow_user": "ops",
            "airflow_password": Settings.load({"airflow_password": "x"}).airflow_password,
        }
    )
    assert find_airflow(named).url == "https://airflow.example.org/af"
    assert (assets.BATCH.name, assets.OUTCOMES.name) == (announcing.ASSET, announcing.OUTCOMES)


def test_a_pool_that_is_missing_is_a_line_of_the_doctor(
    airflow: AirflowClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def line() -> DoctorLine:
        (found,) = [found for found in examine() if found.name == "airflow pool"]
        return found

    monkeypatch.setattr(announcing, "find_airflow", lambda _: airflow)
    airflow._call("DELETE", "/pools/gpu", allowed=(404,))
    assert not line().good
    assert 'airflow pools set gpu 1 "One training at a time"' in line().seen
    airflow.ensure_pool("gpu", 2, "two accelerators")
    try:
        assert line().good
        assert "2 training(s) at a time" in line().seen
    finally:
        airflow._http.delete("/api/v2/pools/gpu")
