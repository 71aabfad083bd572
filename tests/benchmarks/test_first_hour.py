import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import first_hour

BUSY_CHILD = r"""
import subprocess, sys
burn = "import time\nwhile time.process_time() < 0.5: pass"
subprocess.run([sys.executable, "-c", burn])
print("done", flush=True)
sys.stdin.read()
"""


def test_what_a_process_of_the_idle_stack_took_counts_although_it_has_ended() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY_CHILD], **pipes) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"done\n"
        assert not psutil.Process(parent.pid).children()
        assert first_hour.spent_by([psutil.Process(parent.pid)]) >= 0.5
        parent.communicate(b"")


def test_a_clone_is_told_nothing_of_the_shell_s_own_checkout_or_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "AWS_ACCESS_KEY_ID", "PNEUMO_BUCKET", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "elsewhere")
    assert "elsewhere" not in first_hour.run(["env"], tmp_path)
