"""Fixtures for tests behind the proxy; ``tests/conftest.py`` gives them to every test."""

from collections.abc import Iterator

import pytest

from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.faults.proxy import Proxy


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """A proxy in front of the suite's S3 server, without a rule: everything passes."""
    running = Proxy(s3_server.endpoint).start()
    yield running
    running.stop()


@pytest.fixture
def settings_behind(proxy: Proxy, settings: Settings) -> Settings:
    """The test's settings, with the proxy as the way to the store."""
    return settings.model_copy(update={"s3_endpoint": proxy.url})


@pytest.fixture
def store_behind(settings_behind: Settings, store: ObjectStore) -> ObjectStore:
    """The test's bucket through the proxy; ``store`` is the same bucket without it."""
    return ObjectStore.connect(settings_behind)
