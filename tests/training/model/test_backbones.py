from pathlib import Path

import numpy as np
import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.storage.digests import sha256_of_file
from pneumo_tasks.training.model.backbones import BackboneWeights, build_backbone

SIDE = 32


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    keras.applications.VGG16(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3)).save_weights(path)
    return path


@pytest.mark.parametrize(
    ("value", "why"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "all zero")]
)
def test_weights_with_a_dead_layer_are_refused_by_its_name(
    sound: Path, tmp_path: Path, value: float, why: str
) -> None:
    import keras

    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    kernel, bias = model.get_layer("block3_conv2").get_weights()
    model.get_layer("block3_conv2").set_weights([np.full_like(kernel, value), bias])
    path = tmp_path / "dead.weights.h5"
    model.save_weights(path)
    with pytest.raises(BadConfiguration, match=rf"block3_conv2 \({why}\)"):
        build_backbone(BackboneWeights("vgg16", "a file", sha256_of_file(path), False, path), SIDE)
    assert build_backbone(BackboneWeights("vgg16", "a file", sha256_of_file(sound), False, sound), SIDE)
