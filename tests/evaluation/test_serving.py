import zipfile
from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks.errors import WorkerLost
from pneumo_tasks.evaluation import serving
from pneumo_tasks.evaluation.serving import ServingCheck, check_serving, odd_films

HELD = 2**31  # bytes that the process that asks holds meanwhile


@pytest.fixture(scope="module")
def served(tiny_models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> ServingCheck:
    """What a sound artefact's check found; each takes a start of TensorFlow."""
    path = tmp_path_factory.mktemp("served") / "model.keras"
    path.write_bytes(tiny_models["good"])
    film, held = np.full((40, 50), 200, np.uint8), np.ones(HELD // 8)
    expected = float(1 / (1 + np.exp(-(12 * 200 / 255 - 6))))
    found = check_serving(path, {"a": (film, expected), "b": (film[:30], expected)})
    assert held.nbytes == HELD
    return found


def test_a_sound_artefact_serves_in_a_fresh_process(served: ServingCheck) -> None:
    assert served.error == ""
    assert served.loads
    assert served.odd_films_answered == served.odd_films == len(odd_films())
    assert served.parity == pytest.approx(0, abs=1e-5)
    assert served.latency_seconds is not None
    assert served.memory_mb is not None


def test_the_memory_is_that_of_the_served_model_and_not_of_the_process_that_asks(
    served: ServingCheck,
) -> None:
    assert served.memory_mb is not None
    assert 100 < served.memory_mb < HELD / 2**20 / 2


def test_a_broken_artefact_says_why_it_does_not_serve(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    found = check_serving(path, {})
    assert not found.loads
    assert found.parity is None
    assert found.error.startswith("exit 1")


@pytest.mark.parametrize(
    "script",
    ["import time; time.sleep(9)", "import os; os.kill(os.getpid(), 9)", "raise MemoryError",
     "raise OSError(28, 'No space left on device')"],
    ids=["slow", "killed", "no memory", "full disk"],
)  # fmt: skip
def test_a_process_that_the_machine_ended_says_nothing_about_the_model(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "served.py"
    served.write_text(script)
    monkeypatch.setattr(serving.served_artefact, "__file__", str(served))
    monkeypatch.setattr(serving, "_TIMEOUT_SECONDS", 1.5)
    with pytest.raises(WorkerLost, match="not judged"):
        check_serving(tmp_path / "model.keras", {})
