from pathlib import Path

import numpy as np
import pytest

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
