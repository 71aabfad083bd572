"""Fixtures every test may use: a real S3 server for the session, a fresh bucket for each test."""

import os
import signal
import uuid
from collections.abc import Iterator

import pytest

from pneumo_tasks.local import seaweedfs
from pneumo_tasks.object_store import ObjectStore
from pneumo_tasks.settings import Settings
from tests import airflow_home

airflow_home.prepare()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweedfs.S3Server]:
    server = seaweedfs.start(tmp_path_factory.mktemp("s3"))
    yield server
    os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, s3_server: seaweedfs.S3Server) -> None:
    """The environment of one test: its own bucket, nothing left over from the caller's shell."""
    for name in [name for name in os.environ if name.startswith("PNEUMO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", s3_server.endpoint)
    monkeypatch.setenv("PNEUMO_BUCKET", f"test-{uuid.uuid4().hex[:12]}")
    monkeypatch.setenv("PNEUMO_DEMO", "true")
    monkeypatch.setenv("PNEUMO_BACKBONE_WEIGHTS", "random")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)


@pytest.fixture
def settings(environment: None) -> Settings:
    return Settings.load()


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    return store
