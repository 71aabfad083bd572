"""A small installation: Airflow in this process, a bucket with 64 phantoms, a recipe of 48 pixels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training import recipes
from tests.dags.stepped import EASY, RECIPE, SteppedAirflow, hand_in_phantoms, shrunk_recipe
from tests.plugins.conftest import airflow_app as airflow_app


@pytest.fixture
def stepped(
    airflow_app: TestClient, environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SteppedAirflow]:
    for name, value in EASY.items():
        monkeypatch.setenv(f"PNEUMO_{name}", value)
    airflow = SteppedAirflow(airflow_app)
    airflow.sign_in("admin")
    airflow.read_dags()
    yield airflow
    airflow_app.headers.pop("Authorization")


@pytest.fixture
def phantoms(store: ObjectStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A train and a test batch, and the recipe at a third of its side."""
    monkeypatch.setitem(recipes.RECIPES, RECIPE, shrunk_recipe())
    hand_in_phantoms(settings, store, tmp_path)
