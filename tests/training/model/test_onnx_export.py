from pathlib import Path

import numpy as np
import onnx
import pytest

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.training.framing.frames import SQUASH
from pneumo_tasks.training.model import onnx_export
from pneumo_tasks.training.model.artefact import load_artefact, save_artefact, score_images
from pneumo_tasks.training.model.backbones import BackboneWeights
from pneumo_tasks.training.model.network import build_network
from pneumo_tasks.training.recipe import Recipe


@pytest.fixture
def keras_file(small_recipe, tmp_path: Path) -> Path:
    recipe: Recipe = small_recipe()
    network = build_network(
        recipe, BackboneWeights("vgg16", "random", "0" * 64, True, None), (SQUASH,), seed=7
    )
    save_artefact(network.whole, tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_both_files_say_the_same_about_films_of_any_size(
    keras_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, path = np.random.default_rng(0), keras_file.with_suffix(".onnx")
    films = [
        rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 64), (70, 61), (48, 48), (211, 160))
    ]
    loaded = load_artefact(keras_file)
    assert onnx_export.export_onnx(loaded, path, films) <= 1e-4
    declared = onnx.load(path)
    assert declared.ir_version <= 8, "older runtimes refuse the file by its IR alone"
    assert {one.domain: one.version for one in declared.opset_import}[""] == onnx_export.OPSET
    other = [rng.integers(0, 256, (90, 120), dtype=np.uint8) for _ in range(3)]
    expected = score_images(loaded, other)
    np.testing.assert_allclose(onnx_export.score_onnx(path, other), expected, atol=1e-4)

    monkeypatch.setattr(onnx_export, "score_onnx", lambda _, films: np.zeros(len(films)))
    with pytest.raises(CorruptArtefact, match="ONNX"):
        onnx_export.export_onnx(loaded, path, films)
