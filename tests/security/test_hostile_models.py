"""Whatever a model file holds, opening it ends in a sentence of ours, within the memory of a worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security import hostile_models

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", hostile_models.MADE)
def test_a_hostile_model_ends_in_our_error_within_its_memory(name: str, tmp_path: Path) -> None:
    path = hostile_models.make(name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", hostile_models.__name__, str(path), str(hostile_models.LIMIT)],
        capture_output=True, text=True, timeout=300, check=False, cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.stdout.split()[:1] == ["CorruptArtefact"], (done.returncode, done.stdout, done.stderr[-800:])
