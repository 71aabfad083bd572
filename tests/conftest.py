"""Fixtures every test may use: a real S3 server for the session, a fresh bucket for each test.

``PNEUMO_TEST_S3`` says on which server the suite runs: ``seaweedfs`` (the default), ``minio``, or the URL
of one that runs already. The contract of ``test_object_store.py`` runs on every server that is present.
"""

import os
from collections.abc import Iterator
from importlib.metadata import entry_points

import hypothesis
import pytest

from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests import airflow_home, s3_servers
from tests.buckets import Buckets, new_name
from tests.faults.fixtures import proxy as proxy
from tests.faults.fixtures import settings_behind as settings_behind
from tests.faults.fixtures import store_behind as store_behind
from tests.s3_servers import S3Servers

airflow_home.prepare()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # or the processes wait for each other's threads
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A law holds on a busy machine too: what counts is what is computed, not how fast.
hypothesis.settings.register_profile("pneumo", deadline=None)
hypothesis.settings.load_profile("pneumo")


# Whoever asks for one of these trains a network, writes one down as ONNX, or aligns hundreds of films.
COSTLY = {"small", "prepared", "standard", "keras_file", "leaning"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with a costly fixture is slow without a word of its own: `make test` leaves it out."""
    for item in items:
        if COSTLY & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))  # a busy machine computes three times as long


def pytest_configure() -> None:
    if not entry_points(group="airflow.plugins", name="pneumo"):
        raise pytest.UsageError("Pneumo is not installed in this environment, or an older one: make setup")
    if problem := s3_servers.why_not(s3_servers.chosen()):
        raise pytest.UsageError(problem)


@pytest.fixture(scope="session")
def all_s3_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Servers]:
    servers = S3Servers(tmp_path_factory.mktemp("s3"), s3_servers.chosen())
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def s3_server(all_s3_servers: S3Servers) -> S3Server:
    return all_s3_servers.server(all_s3_servers.chosen)


@pytest.fixture(scope="session")
def buckets(s3_server: S3Server) -> Iterator[Buckets]:
    buckets = Buckets(s3_server)
    yield buckets
    buckets.stop()


@pytest.fixture
def environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, buckets: Buckets
) -> None:
    """The environment of one test: its own bucket, nothing left over from the caller's shell.

    The bucket is there where the test asks for a store; where not, nobody made it.
    """
    for name in [name for name in os.environ if name.startswith("PNEUMO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", s3_server.endpoint)
    monkeypatch.setenv("PNEUMO_BUCKET", buckets.take() if "store" in request.fixturenames else new_name())
    monkeypatch.setenv("PNEUMO_DEMO", "true")
    monkeypatch.setenv("PNEUMO_TEST_SENDERS", "*")
    monkeypatch.setenv("PNEUMO_SPLIT_SALT", "pneumo")  # the same draws in every run of the tests
    monkeypatch.setenv("PNEUMO_EXPORT_ONNX", "false")  # half a minute; test_onnx_export.py does it
    monkeypatch.setenv("PNEUMO_BACKBONE_WEIGHTS", "random")
    # The test sets of tests hold a dozen patients of a class, which can promise no loss of some points.
    monkeypatch.setenv("PNEUMO_MIN_TEST_PATIENTS", "5")
    monkeypatch.setenv("PNEUMO_FREE_STEP", "0.25")
    monkeypatch.setenv("PNEUMO_RESAMPLES", "100")
    for name in ("RECALL", "PRECISION", "ORIGINAL_RECALL", "ORIGINAL_PRECISION"):
        monkeypatch.setenv(f"PNEUMO_{name}_MARGIN", "0.25")
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which S3 servers the tests ran on: a green suite means less where one of them is missing."""
    present = [kind for kind in s3_servers.contract_kinds() if s3_servers.is_present(kind)]
    absent = [kind for kind in s3_servers.contract_kinds() if not s3_servers.is_present(kind)]
    line = f"S3: the suite on {s3_servers.chosen()}, the contract on {' and '.join(present)}"
    terminalreporter.write_line(f"{line}; not present: {', '.join(absent)}" if absent else line)
