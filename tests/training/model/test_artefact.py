import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.model.artefact import Traced, load_artefact, score_images
from tests.evaluation.story import save_model


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever TensorFlow traces a loaded model."""
    from keras.src.models.functional import Functional

    calls, call = [], Functional.call
    save_model(tmp_path / "model.keras", 12.0, 0.0, -6.0)

    def traced(self, *given, **named):
        calls.append(1)
        return call(self, *given, **named)

    monkeypatch.setattr(Functional, "call", traced)
    return calls


def test_a_model_is_traced_once_whatever_the_sizes_and_numbers_of_the_films(
    counted: list[int], tmp_path: Path
) -> None:
    rng, model = np.random.default_rng(0), load_artefact(tmp_path / "model.keras")
    films = [rng.integers(0, 256, shape, np.uint8) for shape in ((40, 50), (41, 50), (41, 53), (90, 20))]
    counted.clear()
    found = score_images(model, films)
    score_images(model, [films[0]] * 5)
    alone = [float(model.predict_on_batch(film[None, ..., None])[0, 0]) for film in films]
    assert len(counted) == 1
    assert found == pytest.approx(alone, abs=1e-6)
    assert Traced.of(model) is Traced.of(model)


def rewritten(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], member: str) -> Path:
    """The same file with one of its documents changed."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members[member] = json.dumps(change(json.loads(members[member]))).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, body in members.items():
            file.writestr(name, body)
    return path


def test_a_file_of_the_next_keras_is_read_where_ours_understands_it_else_its_writer_is_named(
    tmp_path: Path,
) -> None:
    films = [np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)]
    save_model(tmp_path / "model.keras", 12.0, 0.0, -6.0)
    expected = score_images(load_artefact(tmp_path / "model.keras"), films)
    later = rewritten(
        tmp_path / "model.keras", lambda told: told | {"keras_version": "3.99.0"}, "metadata.json"
    )
    assert score_images(load_artefact(later), films) == pytest.approx(expected)
    unknown = {"class_name": "OfTheNextMinor", "module": "keras.layers", "registered_name": "OfTheNextMinor"}
    rewritten(later, lambda config: config | unknown, "config.json")
    with pytest.raises(CorruptArtefact, match=r"written by Keras 3\.99\.0, and this is 3\."):
        load_artefact(later)
