"""The wheel in an environment with Airflow: DAGs, plugin and pages are there without a checkout."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from pneumo_tasks.local.ports import free_ports
from tests.install.installations import PROJECT, Installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def variables(beside_airflow: Installation) -> dict[str, str]:
    """What a person sets: where the DAGs are. The plugin needs no word."""
    folder = beside_airflow.run("pneumo", "dags-folder").stdout.strip()
    variables = {"AIRFLOW__CORE__DAGS_FOLDER": folder}
    done = beside_airflow.run("airflow", "db", "migrate", **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    return variables


@pytest.fixture(scope="module")
def address(beside_airflow: Installation, variables: dict[str, str]) -> Iterator[str]:
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [str(beside_airflow.folder / "bin/airflow"), "api-server", "--host", "127.0.0.1", "--port", str(port),
         "--workers", "1"],
        env=beside_airflow.environment(**variables), cwd=beside_airflow.folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 240
    while status(f"{address}/api/v2/monitor/health") != 200:
        assert server.poll() is None, "the API server ended"
        assert time.monotonic() < deadline, "the API server did not answer"
        time.sleep(0.5)
    yield address
    server.terminate()
    server.wait()


def status(url: str) -> int:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_folder_of_the_dags_is_the_installations_own(
    beside_airflow: Installation, variables: dict[str, str]
) -> None:
    folder = variables["AIRFLOW__CORE__DAGS_FOLDER"]
    assert folder.startswith(str(beside_airflow.folder))
    assert str(PROJECT) not in folder


def test_airflow_lists_the_dags_of_the_wheel(beside_airflow: Installation, variables: dict[str, str]) -> None:
    read = beside_airflow.run("airflow", "dags", "reserialize", **variables)
    assert read.returncode == 0, read.stderr[-2000:]
    done = beside_airflow.run("airflow", "dags", "list", "-o", "json", **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    listed = {row["dag_id"]: row["fileloc"] for row in json.loads(done.stdout.splitlines()[-1])}
    assert {"pneumonia_retraining", "champion_rollback", "champion_watch"} <= listed.keys()
    assert all(file.startswith(variables["AIRFLOW__CORE__DAGS_FOLDER"]) for file in listed.values())


def test_airflow_loads_the_plugin_once_by_its_entry_point(
    beside_airflow: Installation, variables: dict[str, str]
) -> None:
    done = beside_airflow.run("airflow", "plugins", "-o", "json", **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = [plugin for plugin in json.loads(done.stdout.splitlines()[-1]) if plugin["name"] == "pneumo"]
    assert [plugin["source"].split(":")[0].split("==")[0] for plugin in ours] == ["pneumo"]


@pytest.mark.parametrize("page", ["/pneumo/", "/pneumo/run?run_id=any"])
def test_a_report_page_asks_for_a_login(address: str, page: str) -> None:
    assert status(address + page) == 401
