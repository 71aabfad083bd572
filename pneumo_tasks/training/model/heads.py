"""Heads: the layers after the backbone, trained on what it says."""

from collections.abc import Callable, Mapping
from typing import Any

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.training.backbone_table import BACKBONES

PROBABILITY = "probability"
VIEW_PROBABILITY = "view_probability"  # of one view alone; a tap for training, not in the saved graph
LOGIT = "head_logit"
PREFIX = "head_"
# A second network on the same frozen layers: block5 trained from the backbone's weights, with its own head.
TUNED, MEAN = "tuned_", "mean_"
TUNED_LOGIT, MEAN_LOGIT = TUNED + "logit", MEAN + "logit"

POOLED = "pooled"


def is_head(layer_name: str) -> bool:
    return layer_name.startswith(PREFIX) or layer_name in (PROBABILITY, TUNED_LOGIT)


def article_head(taps: Mapping[str, Any], backbone: str, seed: int, views: int) -> dict[str, Any]:
    """The article's head: Flatten, 64 units, dropout, batch normalisation, one sigmoid."""
    from keras import initializers, layers

    if views != 1:
        raise BadConfiguration("the article's head takes one view", found=f"{views} views")

    def glorot(offset: int) -> Any:
        return initializers.GlorotUniform(seed=seed + offset)

    dtype = "float32"  # whatever the precision of the rest
    hidden = layers.Flatten(name="head_flatten", dtype=dtype)(taps[BACKBONES[backbone].last])
    hidden = layers.Dense(
        64, activation="relu", kernel_initializer=glorot(0), dtype=dtype, name="head_dense"
    )(hidden)
    hidden = layers.Dropout(0.33, seed=seed, dtype=dtype, name="head_dropout")(hidden)
    hidden = layers.BatchNormalization(dtype=dtype, name="head_norm")(hidden)
    last = layers.Dense(1, activation="sigmoid", kernel_initializer=glorot(1), dtype=dtype, name=PROBABILITY)
    return {PROBABILITY: last(hidden)}


def linear_head(taps: Mapping[str, Any], backbone: str, seed: int, views: int) -> dict[str, Any]:
    """One linear layer on the pooled means, which forget where in the frame something is.

    With several views it judges each of them, and the mean of the logits counts.
    """
    if POOLED not in taps:
        raise BadConfiguration(f"a linear head needs pooled means, and {backbone} has none")
    logit = _linear(LOGIT, taps[POOLED], seed)
    return {LOGIT: logit, **_answers("", logit, views)}


def mean_head(taps: Mapping[str, Any], backbone: str, seed: int, views: int) -> dict[str, Any]:
    """One linear layer on the mean of the last map, half of which is dropped in training."""
    logit = _linear(LOGIT, _dropped_mean(PREFIX, taps[BACKBONES[backbone].last], seed), seed)
    return {LOGIT: logit, **_answers("", logit, views)}


def second_head(taps: Mapping[str, Any], backbone: str, seed: int, views: int) -> dict[str, Any]:
    """The head of the tuned network, like ``mean_head``; and the mean of its logit with that of the first."""
    from keras import layers

    last = taps[TUNED + BACKBONES[backbone].last]
    logit = _linear(TUNED_LOGIT, _dropped_mean(TUNED, last, seed), seed)
    mean = layers.Average(name=MEAN_LOGIT, dtype="float32")([taps[LOGIT], logit])
    answers = {**_answers(TUNED, logit, views), **_answers(MEAN, mean, views)}
    return {TUNED_LOGIT: logit, MEAN_LOGIT: mean, **answers}


def _linear(name: str, values: Any, seed: int) -> Any:
    from keras import initializers, layers

    start = initializers.GlorotUniform(seed=seed)
    return layers.Dense(1, kernel_initializer=start, dtype="float32", name=name)(values)


def _dropped_mean(prefix: str, maps: Any, seed: int) -> Any:
    from keras import layers

    mean = layers.GlobalAveragePooling2D(dtype="float32", name=f"{prefix}mean")(maps)
    return layers.Dropout(0.5, seed=seed, dtype="float32", name=f"{prefix}dropout")(mean)


def _answers(prefix: str, logit: Any, views: int) -> dict[str, Any]:
    """The probability of a film, by the mean logit of its views; and of each view where there are several."""
    from keras import ops

    if views == 1:
        return {prefix + PROBABILITY: _sigmoid(prefix + PROBABILITY)(logit)}
    mean = ops.mean(ops.reshape(logit, (views, -1, 1)), axis=0)
    return {
        prefix + VIEW_PROBABILITY: _sigmoid(prefix + VIEW_PROBABILITY)(logit),
        prefix + PROBABILITY: _sigmoid(prefix + PROBABILITY)(mean),
    }


def _sigmoid(name: str) -> Any:
    from keras import layers

    return layers.Activation("sigmoid", dtype="float32", name=name)


# ``build(taps, backbone, seed, views)`` gives the taps it adds: float32 (N, 1) from a layer named
# ``probability``, one a film; the name of every other layer with weights starts with ``head_``.
HEADS: dict[str, Callable[[Mapping[str, Any], str, int, int], dict[str, Any]]] = {
    "article": article_head,
    "linear": linear_head,
    "mean": mean_head,
}
