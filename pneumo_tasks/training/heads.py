"""Heads: the layers after the backbone, trained on what it says."""

from collections.abc import Callable, Mapping
from typing import Any

PROBABILITY = "probability"
PREFIX = "head_"

_LAST_LAYER = {"vgg16": "block5_pool", "inceptionv3": "mixed10"}


def is_head(layer_name: str) -> bool:
    return layer_name.startswith(PREFIX) or layer_name == PROBABILITY


def article_head(taps: Mapping[str, Any], backbone: str, seed: int) -> Any:
    """The article's head: Flatten, 64 units, dropout, batch normalisation, one sigmoid."""
    from keras import initializers, layers

    def glorot(offset: int) -> Any:
        return initializers.GlorotUniform(seed=seed + offset)

    dtype = "float32"  # whatever the precision of the rest
    hidden = layers.Flatten(name="head_flatten", dtype=dtype)(taps[_LAST_LAYER[backbone]])
    hidden = layers.Dense(
        64, activation="relu", kernel_initializer=glorot(0), dtype=dtype, name="head_dense"
    )(hidden)
    hidden = layers.Dropout(0.33, seed=seed, dtype=dtype, name="head_dropout")(hidden)
    hidden = layers.BatchNormalization(dtype=dtype, name="head_norm")(hidden)
    return layers.Dense(1, activation="sigmoid", kernel_initializer=glorot(1), dtype=dtype, name=PROBABILITY)(
        hidden
    )


# ``build(taps, backbone, seed)`` gives float32 (N, 1) from a layer named ``probability``; the name of
# every other layer with weights starts with ``head_``.
HEADS: dict[str, Callable[[Mapping[str, Any], str, int], Any]] = {"article": article_head}
