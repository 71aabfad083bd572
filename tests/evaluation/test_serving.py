import zipfile
from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks.evaluation.serving import check_serving, odd_films


def test_a_sound_artefact_serves_in_a_fresh_process(tiny_models: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(tiny_models["good"])
    film = np.full((40, 50), 200, np.uint8)
    expected = float(1 / (1 + np.exp(-(12 * 200 / 255 - 6))))
    found = check_serving(path, {"a": (film, expected), "b": (film[:30], expected)})
    assert found.error == ""
    assert found.loads
    assert found.odd_films_answered == found.odd_films == len(odd_films())
    assert found.parity == pytest.approx(0, abs=1e-5)
    assert found.latency_seconds is not None
    assert found.memory_mb is not None


def test_the_memory_is_that_of_the_served_model_and_not_of_the_process_that_asks(
    tiny_models: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(tiny_models["good"])
    held = np.ones(2**28)  # 2 GiB
    found = check_serving(path, {})
    assert found.memory_mb is not None
    assert 100 < found.memory_mb < held.nbytes / 2**20 / 2


def test_a_broken_artefact_says_why_it_does_not_serve(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    found = check_serving(path, {})
    assert not found.loads
    assert found.parity is None
    assert found.error.startswith("exit 1")
