import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_a_task_of_a_celery_worker_may_start_processes_that_do_not_run_its_script_again() -> None:
    command = [sys.executable, "tests/plugins/celery_task.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")])}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[1, 2]"), done.stderr[-3000:]
