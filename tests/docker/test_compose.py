"""What the files of docker/ promise, checked without a container engine."""

import json
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from pneumo_tasks.settings import Settings

DOCKER = Path(__file__).resolve().parents[2] / "docker"
OURS = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "gpu-worker", "receive")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


def write_environment(file: Path) -> dict[str, str]:
    subprocess.run([DOCKER / "environment.sh", file], check=True)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_the_environment_file_is_the_owners_alone_and_its_secrets_are_drawn(tmp_path: Path) -> None:
    first, second = write_environment(tmp_path / "first"), write_environment(tmp_path / "second")
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())
    assert all(len(value) >= 16 for value in first.values())


def test_an_upgrade_adds_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("POSTGRES_PASSWORD=kept\nUI_LISTEN=0.0.0.0:80\n")
    after = write_environment(file)
    assert (after["POSTGRES_PASSWORD"], after["UI_LISTEN"]) == ("kept", "0.0.0.0:80")
    assert write_environment(file) == after


def test_a_variable_without_a_default_is_one_that_make_up_writes(tmp_path: Path) -> None:
    written = write_environment(tmp_path / "env")
    text = (DOCKER / "compose.yaml").read_text()
    needed = set(re.findall(r"\$\{(\w+)(?::\?[^}]*)?\}", text))
    assert needed <= set(written)
    assert not re.search(r"\$\{\w*(PASSWORD|SECRET|KEY)\w*:?-", text), "a secret has no default"


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_only_where_they_must(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] in ("unless-stopped", "on-failure")


def test_no_service_is_held_down_by_another_that_is_away(services: dict[str, Any]) -> None:
    """Podman starts nothing again while something it depends on is down: start.sh waits instead."""
    assert not any("depends_on" in service for service in services.values())


@pytest.mark.parametrize("down", ["", "metadatabase", "scheduler", "dag_processor"])
def test_the_stack_is_up_when_database_scheduler_and_dag_processor_are(tmp_path: Path, down: str) -> None:
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    report = {name: {"status": "unhealthy" if name == down else "healthy"} for name in parts}

    class Airflow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(report, separators=(",", ":")).encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Airflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script = shutil.copy(DOCKER / "wait.sh", tmp_path)
        (tmp_path / ".env").write_text(f"UI_LISTEN=127.0.0.1:{server.server_port}\nPNEUMO_UI_PASSWORD=x\n")
        done = subprocess.run(["bash", script], env={"PATH": "/usr/bin:/bin", "PATIENCE": "1"}, check=False)
        server.shutdown()
    assert done.returncode == (1 if down else 0)


def test_nothing_but_the_ui_the_store_and_the_receiver_is_published_and_both_on_this_machine(
    services: dict[str, Any],
) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(published) == {"api-server", "minio", "seaweedfs", "receive"}
    assert all("127.0.0.1" in port for ports in published.values() for port in ports)


def test_the_receiver_is_there_where_it_is_asked_for_and_knows_the_store_alone(
    services: dict[str, Any],
) -> None:
    receive = services["receive"]
    assert receive["profiles"] == ["receive"]
    assert not [name for name in receive["environment"] if name.startswith("AIRFLOW")]
    settings = {name for name in receive["environment"] if name.startswith("PNEUMO_")} - {"PNEUMO_COMPONENT"}
    assert settings <= {f"PNEUMO_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("listens", [True, False])
def test_the_receiver_is_healthy_while_it_listens(listens: bool) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        if listens:
            one.listen()
        environment = {"PNEUMO_COMPONENT": "receive", "PNEUMO_RECEIVE_PORT": str(one.getsockname()[1])}
        done = subprocess.run(
            [sys.executable, DOCKER / "healthy.py"], env=environment, stderr=subprocess.DEVNULL, check=False
        )
    assert (done.returncode == 0) is listens


def test_data_live_in_named_volumes_that_are_declared(services: dict[str, Any]) -> None:
    declared = set(yaml.safe_load((DOCKER / "compose.yaml").read_text())["volumes"])
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith("./")} == declared


HOLDS = {
    "api-server": "SCHEDULER", "scheduler": "SCHEDULER", "dag-processor": "SCHEDULER", "triggerer": None,
    "init": "PIPELINE", "worker": "PIPELINE", "gpu-worker": "PIPELINE", "receive": "SENDER",
    "reviewer": "REVIEWER", "deployment": "DEPLOYMENT", "eraser": "ERASER",
}  # fmt: skip


def test_each_process_signs_in_to_the_store_as_its_role_and_the_administrator_makes_the_bucket_alone(
    services: dict[str, Any],
) -> None:
    ours = {name for name, service in services.items() if "pneumo/" in service["image"]}
    assert ours == set(HOLDS)
    for name, role in HOLDS.items():
        held = {key: value for key, value in services[name]["environment"].items() if "S3_" in str(value)}
        expected = {
            "AWS_ACCESS_KEY_ID": f"${{S3_{role}_ACCESS_KEY:?run make up}}",
            "AWS_SECRET_ACCESS_KEY": f"${{S3_{role}_SECRET_KEY:?run make up}}",
        } if role else {}  # fmt: skip
        expected |= {"ADMINISTRATOR": "${S3_ACCESS_KEY} ${S3_SECRET_KEY}"} if name == "init" else {}
        endpoint = {"PNEUMO_S3_ENDPOINT": "${PNEUMO_S3_ENDPOINT-http://s3:9000}"}
        assert held == expected | endpoint, name
    assert services["init"]["restart"] == "on-failure", "it ends where the bucket is there"


def test_where_the_store_is_elsewhere_each_role_has_what_is_named_until_it_gets_its_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "env"
    own = "PNEUMO_S3_ENDPOINT=\nS3_ACCESS_KEY=theirs\nS3_SECRET_KEY=secret-of-theirs\n"
    file.write_text(f"{own}S3_READER_ACCESS_KEY=of-readers\nS3_READER_SECRET_KEY=secret-of-readers\n")
    written = write_environment(file)
    assert (written["S3_PIPELINE_ACCESS_KEY"], written["S3_PIPELINE_SECRET_KEY"]) == (
        "theirs",
        "secret-of-theirs",
    )
    assert written["S3_READER_ACCESS_KEY"] == "of-readers"


def test_an_edge_worker_knows_neither_broker_nor_database() -> None:
    text = (DOCKER / "compose.edge.yaml").read_text()
    assert "BROKER" not in text
    assert "RESULT_BACKEND" not in text
    assert "postgres" not in text
    assert "S3_ACCESS_KEY" not in text, "it trains, and is no administrator of the store"


def test_only_the_gpu_overlay_asks_for_a_device(services: dict[str, Any]) -> None:
    assert "deploy" not in services["gpu-worker"]
    overlay = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
    reserved = overlay["services"]["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert reserved[0]["capabilities"] == ["gpu"]


def test_the_build_context_is_a_list_of_what_may_enter() -> None:
    lines = (DOCKER.parent / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert not {".git", "tests", "docker/.env", ".local"} & allowed
