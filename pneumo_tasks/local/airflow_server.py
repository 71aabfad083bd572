"""`airflow standalone` on the loopback interface: SQLite, LocalExecutor, a real scheduler, one login."""

import base64
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pneumo_tasks.cores import available_cores
from pneumo_tasks.errors import StorageUnavailable
from pneumo_tasks.local.airflow_client import AirflowClient
from pneumo_tasks.local.store_roles import COMPONENTS
from pneumo_tasks.storage.local_disk import make_folder, open_log, write_private

USERNAME = "admin"
GPU_POOL = "gpu"
_SECRETS = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY")


def airflow_environment(
    project: Path, home: Path, ports: list[int], previous: Mapping[str, str]
) -> dict[str, str]:
    """Airflow's whole configuration as variables; the secrets in ``previous`` are used again.

    ``ports`` are those of the API server, the scheduler's log server and the triggerer's log server. How the
    store is reached is not among them: each component has its own (``launch``).
    """
    api, worker_logs, trigger_logs = ports
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(max(2, available_cores())),
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES": "airflow.* pneumo_tasks.*",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
            [
                {
                    "name": "dags-folder",
                    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                    "kwargs": {},
                }
            ]
        ),
        # Parsing costs a core for seconds, and two cores are all there may be.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{api}",
        "AIRFLOW__API__INSTANCE_NAME": "Pneumo (local)",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
        # Logs are for their owner alone, whatever the umask of the process that writes them.
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        # What nobody waits for is done seldom: an idle stack shall leave the cores to the tasks.
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "60",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "60",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
        # A GPU task may wait for hours behind another; Airflow would give it up after ten minutes.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "86400",
        **{name: previous.get(name) or _fresh_secret() for name in _SECRETS},
    }


def _fresh_secret() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def password(home: Path) -> str:
    """The password of USERNAME in the file that Airflow reads; made where there is none."""
    path = home / "passwords.json"
    if not path.exists():
        make_folder(home)
        write_private(path, json.dumps({USERNAME: secrets.token_urlsafe(9)}))
    return str(json.loads(path.read_text())[USERNAME])


def launch(environment: Mapping[str, str], roles: Path, log: Path) -> int:
    """Start `airflow standalone` as the leader of its own session; returns its pid at once.

    Each component that it starts reads the variables of its role of the store from the folder ``roles``.
    """
    beside_python = Path(sys.executable).parent
    ours = _airflow_of_ours(Path(environment["AIRFLOW_HOME"]), beside_python / "python", roles)
    path = os.pathsep.join((str(ours), str(beside_python), environment.get("PATH", os.defpath)))
    with open_log(log) as output:
        process = subprocess.Popen(
            [str(beside_python / "python"), "-m", "airflow", "standalone"],
            env={**environment, "PATH": path},
            umask=0o077,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=environment["AIRFLOW_HOME"],
            start_new_session=True,
        )
    return process.pid


def _airflow_of_ours(home: Path, python: Path, roles: Path) -> Path:
    """A folder whose ``airflow`` gives each component the credential of its role, and starts no log servers.

    Those listen on every address, and nobody asks them: everything of the demo is on one machine, where logs
    are read as files.
    """
    folder = make_folder(home / "bin")
    script = folder / "airflow"
    with_role = [f'  {name}) . "{roles}/{role}";;\n' for name, role in COMPONENTS.items()]
    script.write_text(
        '#!/bin/sh\nset -a\ncase "$1" in\n' + "".join(with_role) + "esac\nset +a\n"
        'case "$1" in scheduler|triggerer) set -- "$@" --skip-serve-logs;; esac\n'
        f'exec "{python}" -m airflow "$@"\n'
    )
    script.chmod(0o700)
    return folder


def wait_until_healthy(
    client: AirflowClient, still_runs: Callable[[], bool], log: Path, patience: float = 240.0
) -> None:
    """Return when scheduler, DAG processor and API server answer for themselves, with the GPU pool made.

    Raises StorageUnavailable, with the log's last lines, where Airflow stops or takes longer.
    """
    deadline = time.monotonic() + patience
    while not client.is_healthy():
        if not still_runs() or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise StorageUnavailable(
                "Airflow did not start", where=str(log), found=f"its last lines:\n{tail}\n",
                do="Run `make down`, then `make demo` again.",
            )  # fmt: skip
        time.sleep(0.5)
    client.ensure_pool(GPU_POOL, slots=1, description="One training task at a time has the accelerator")
