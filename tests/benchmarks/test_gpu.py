import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def run(*arguments: str) -> dict[str, Any]:
    shown = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


def test_where_there_is_no_gpu_it_says_so_and_ends_well() -> None:
    assert run() == {"gpu": None, "told": "no GPU is seen: nothing was measured"}


@pytest.mark.slow
def test_it_measures_the_processor_where_it_is_asked_to() -> None:
    found = run("--cpu", "--films", "32")
    assert found["gpu"].startswith("none")
    assert found["passes_a_second"] > 0
    assert 0 < found["share_of_peak"] < 2
    assert found["block5_epoch_of_5000_examples_seconds"] > 0
