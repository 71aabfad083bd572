"""The whole graph, from the pixels of a film to a probability, and the parts of it that are trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pneumo_tasks.training.backbones import BackboneWeights, build_backbone
from pneumo_tasks.training.recipes import FRAME, Recipe

INPUT = "image"
PROBABILITY = "probability"
HEAD = ("head_dense", "head_norm", PROBABILITY)

# What keras.applications' preprocess_input does, as layers: VGG16 takes BGR minus the ImageNet means.
_CHANNELS: dict[str, tuple[float, list[float]]] = {
    "vgg16": (1.0, [-103.939, -116.779, -123.68]),
    "inceptionv3": (1.0 / 127.5, [-1.0, -1.0, -1.0]),
}


@dataclass(frozen=True)
class Network:
    """``whole`` maps uint8 (N, H, W, 1) of any size to float32 (N, 1); parts share its weights."""

    whole: Any
    recipe: Recipe

    def part(self, start: str, *ends: str) -> Any:
        """The model from the output of layer ``start`` to the outputs of the layers ``ends``."""
        import keras

        outputs = [self.whole.get_layer(end).output for end in ends]
        return keras.Model(self.whole.get_layer(start).output, outputs if len(outputs) > 1 else outputs[0])

    def train_only(self, prefixes: tuple[str, ...]) -> None:
        """Freeze all but the head and the layers whose names start with one of ``prefixes``."""
        for layer in self.whole.layers:
            layer.trainable = layer.name in HEAD or any(layer.name.startswith(p) for p in prefixes)

    def trainable_parameters(self) -> int:
        return int(sum(np.prod(variable.shape) for variable in self.whole.trainable_variables))


def build_network(recipe: Recipe, weights: BackboneWeights, seed: int) -> Network:
    """Build the graph with the backbone's weights and a head drawn from ``seed``.

    Functional, without custom classes or Lambda layers, so the saved file loads in safe mode in
    any Keras 3. Layer names restart, so two networks of one recipe have the same names.
    """
    import keras

    pretrained = build_backbone(weights, recipe.image_size)
    keras.backend.clear_session()
    image = keras.Input((None, None, 1), dtype="uint8", name=INPUT)
    grey = _frame(image, recipe.image_size)
    scale, offset = _CHANNELS[recipe.backbone]
    channels = keras.layers.Concatenate(name="channels")([grey, grey, grey])
    channels = keras.layers.Rescaling(scale, offset, name="preprocess")(channels)
    build = {"vgg16": keras.applications.VGG16, "inceptionv3": keras.applications.InceptionV3}
    backbone = build[recipe.backbone](weights=None, include_top=False, input_tensor=channels)
    whole = keras.Model(image, _head(backbone.layers[-1].output, seed), name="pneumo")
    _copy_weights(pretrained, backbone)
    network = Network(whole, recipe)
    network.train_only(())
    return network


def _copy_weights(source: Any, target: Any) -> None:
    pairs = zip(
        [layer for layer in source.layers if layer.weights],
        [layer for layer in target.layers if layer.weights],
        strict=True,
    )
    for given, taken in pairs:
        taken.set_weights(given.get_weights())


def _frame(image: Any, size: int) -> Any:
    """Squash to a square of ``size`` pixels with an anti-aliased triangle filter, float32 0 to 255.

    Two matrix products whose weights are computed in the graph: no op that ONNX lacks, any height
    and width, exactly the identity where the image has that size already.
    """
    from keras import layers, ops

    pixels = ops.cast(image[..., 0], "float32")
    rows = _resize_weights(ops.ones_like(pixels[:, :, :1]), size)
    columns = _resize_weights(ops.ones_like(ops.transpose(pixels[:, :1, :], (0, 2, 1))), size)
    square = ops.matmul(ops.matmul(ops.transpose(rows, (0, 2, 1)), pixels), columns)
    return layers.Reshape((size, size, 1), name=FRAME, dtype="float32")(square)


def _resize_weights(ones: Any, size: int) -> Any:
    """(N, H, 1) of ones to (N, H, size): what each input pixel gives to each output pixel."""
    from keras import ops

    centre_in = ops.cumsum(ones, axis=1) - 0.5
    step = (ops.max(centre_in, axis=1, keepdims=True) + 0.5) / size
    centre_out = step * (np.arange(size, dtype=np.float32) + 0.5)[None, None]
    weights = ops.relu(1.0 - ops.abs(centre_in - centre_out) / ops.maximum(step, 1.0))
    return weights / ops.sum(weights, axis=1, keepdims=True)


def _head(features: Any, seed: int) -> Any:
    """The article's head; the last layer stays in float32 whatever the precision of the rest."""
    from keras import initializers, layers

    def glorot(offset: int) -> Any:
        return initializers.GlorotUniform(seed=seed + offset)

    hidden = layers.Flatten(name="head_flatten")(features)
    hidden = layers.Dense(64, activation="relu", kernel_initializer=glorot(0), name="head_dense")(hidden)
    hidden = layers.Dropout(0.33, seed=seed, name="head_dropout")(hidden)
    hidden = layers.BatchNormalization(name="head_norm")(hidden)
    return layers.Dense(
        1, activation="sigmoid", kernel_initializer=glorot(1), dtype="float32", name=PROBABILITY
    )(hidden)
