"""Airflow's own API server in this process, with our plugin in it and three people who may sign in."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.evaluation.fixtures import story, tiny_models  # noqa: F401


@pytest.fixture(scope="session")
def airflow_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    passwords = Path(os.environ["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
    passwords.write_text(json.dumps({"admin": "admin", "vera": "vera"}))
    from airflow.utils import db

    db.initdb()
    from airflow.api_fastapi.app import create_app

    with TestClient(create_app(), base_url="http://testserver") as client:
        yield client


@pytest.fixture
def anonymous(airflow_app: TestClient, environment: None) -> TestClient:
    airflow_app.cookies.clear()
    airflow_app.headers.pop("Authorization", None)
    return airflow_app


@pytest.fixture
def reader(anonymous: TestClient) -> TestClient:
    answer = anonymous.post("/auth/token", json={"username": "vera", "password": "vera"})
    anonymous.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return anonymous


@pytest.fixture
def stranger(anonymous: TestClient) -> TestClient:
    """Somebody with a valid login and no role: Airflow lets them read no DAG."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="stranger", role=None))
    anonymous.headers["Authorization"] = f"Bearer {token}"
    return anonymous
