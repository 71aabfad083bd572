"""The whole graph, from the pixels of a film to a probability, and the parts of it that are trained."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.training.backbone_table import BACKBONES, Backbone
from pneumo_tasks.training.framing.frames import View, resize
from pneumo_tasks.training.model.backbones import BackboneWeights, build_backbone
from pneumo_tasks.training.model.heads import (
    HEADS,
    MEAN,
    PROBABILITY,
    TUNED,
    VIEW_PROBABILITY,
    is_head,
    second_head,
)
from pneumo_tasks.training.recipe import FRAME, Exports, Recipe, Stage

INPUT = "image"
_PREFIXES: dict[Exports, str] = {"head": "", "fine_tuned": TUNED, "mean": MEAN}


@dataclass(frozen=True)
class Network:
    """``whole`` maps uint8 (N, H, W, 1) of any size to float32 (N, 1); parts share its weights.

    ``taps`` are its tensors by name: ``image``, ``frame``, every layer of the backbone, and the
    means that its entry names (for VGG16 ``block3_gap`` and so on), together ``pooled``. With several
    views those are of all films in the first view, then in the second, and so on; only the probability
    is one a film. Where the recipe makes two networks, ``whole`` is the one that ``exports`` names, or their
    mean; the taps are those of both.
    """

    whole: Any
    recipe: Recipe
    taps: dict[str, Any]
    exports: Exports = "head"

    def answering(self, exports: Exports) -> "Network":
        """The same layers, as what ``exports`` names answers; itself where the recipe makes one network."""
        if not self.recipe.two_networks:
            return self
        prefix = _PREFIXES[exports]
        answering = dataclasses.replace(self, whole=_whole(self.taps, prefix + PROBABILITY), exports=exports)
        answering.train_only(())
        return answering

    @property
    def answer(self) -> str:
        """The tap that answers for one framed film: what training judges."""
        prefix = _PREFIXES[self.exports]
        return prefix + (VIEW_PROBABILITY if VIEW_PROBABILITY in self.taps else PROBABILITY)

    def part(self, starts: tuple[str, ...], *ends: str) -> Any:
        """The model from the tensors ``starts`` to the tensors ``ends``; one of either is not a list."""
        import keras

        given = [self.taps[name] for name in starts]
        # Keras has no model whose output is its input.
        asked = [keras.layers.Identity()(self.taps[n]) if n in starts else self.taps[n] for n in ends]
        return keras.Model(given if len(given) > 1 else given[0], asked if len(asked) > 1 else asked[0])

    def thaw(self, stage: Stage) -> None:
        """Freeze all but what the stage trains, and the heads."""
        of_which = TUNED if stage.starts == "backbone" else ""
        self.train_only(tuple(of_which + prefix for prefix in stage.trainable))

    def thawed(self, stage: Stage) -> Any:
        """The model that a stage trains: from its cuts to the answer, thawed as it says."""
        self.thaw(stage)
        return self.part(stage.cuts, self.answer)

    def train_only(self, prefixes: tuple[str, ...]) -> None:
        """Freeze all but the head and the layers whose names start with one of ``prefixes``."""
        for layer in self.whole.layers:
            layer.trainable = is_head(layer.name) or any(layer.name.startswith(p) for p in prefixes)

    def trainable_parameters(self) -> int:
        return int(sum(np.prod(variable.shape) for variable in self.whole.trainable_variables))


def build_network(
    recipe: Recipe,
    weights: BackboneWeights,
    views: tuple[View, ...],
    seed: int,
    precision: str = "float32",
) -> Network:
    """Build the graph with the backbone's weights and a head drawn from ``seed``.

    Functional, without custom classes or Lambda layers, so the saved file loads in safe mode in
    any Keras 3. Layer names restart, so two networks of one recipe have the same names. In a lower
    ``precision`` (a Keras dtype policy) the backbone computes in it; frame, first convolution, pools
    and head stay in float32, and so do all weights.
    """
    import keras

    pretrained = build_backbone(weights, recipe.image_size)
    keras.backend.clear_session()
    image = keras.Input((None, None, 1), dtype="uint8", name=INPUT)
    taps = {INPUT: image, FRAME: _framed(image, views, recipe)}
    channels = _channels(taps[FRAME], recipe)
    known = BACKBONES[recipe.backbone]
    build = getattr(keras.applications, known.application)
    with _dtype_policy(precision):
        backbone = build(weights=None, include_top=False, input_shape=channels.shape[1:])
    # It reads pixels, of whose eight bits bfloat16 rounds one away: half of the error of all layers.
    next(layer for layer in backbone.layers if layer.weights).dtype_policy = keras.DTypePolicy("float32")
    taps |= _applied(backbone, channels)
    taps |= _pools(taps, known)
    taps |= HEADS[recipe.head_kind](taps, recipe.backbone, seed, len(views))
    _copy_weights(pretrained, backbone)
    if recipe.fine_tuning is not None and recipe.two_networks:
        taps |= _again(backbone, taps, recipe.fine_tuning.trainable)
        taps |= second_head(taps, recipe.backbone, seed, len(views))
    network = Network(_whole(taps, PROBABILITY), recipe, taps)
    network.train_only(())
    return network


def _whole(taps: dict[str, Any], answer: str) -> Any:
    import keras

    return keras.Model(taps[INPUT], taps[answer], name="pneumo")


def _framed(image: Any, views: tuple[View, ...], recipe: Recipe) -> Any:
    """The framed films, float32 (N, side, side, 1) of 0 to 255, from the layer ``frame``.

    All films in the first view, then in the second: the backbone sees one larger batch, and its
    graph is there once.
    """
    from keras import layers, ops

    sides = {view.side_of(recipe) for view in views}
    if len(sides) != 1:
        raise BadConfiguration(f"the views of frame {recipe.frame!r} differ in size", found=str(sides))
    side = sides.pop()
    squares = [view.build(image, side) for view in views]
    square = squares[0] if len(squares) == 1 else ops.concatenate(squares, axis=0)
    return layers.Reshape((side, side, 1), name=FRAME, dtype="float32")(square)


def _channels(frame: Any, recipe: Recipe) -> Any:
    """What the backbone expects: its size, three channels, its preprocessing; float32."""
    from keras import layers

    if frame.shape[1] != recipe.image_size:
        shape = (recipe.image_size, recipe.image_size, 1)
        resized = resize(frame[..., 0], recipe.image_size)
        frame = layers.Reshape(shape, name="backbone_size", dtype="float32")(resized)
    scale, offset = BACKBONES[recipe.backbone].preprocessing
    channels = layers.Concatenate(name="channels", dtype="float32")([frame, frame, frame])
    return layers.Rescaling(scale, list(offset), name="preprocess", dtype="float32")(channels)


def _applied(backbone: Any, channels: Any) -> dict[str, Any]:
    """The outputs of the backbone's layers for ``channels``, by their names.

    Not by ``input_tensor=``: Keras then looks for the graph's inputs along every path there is, and
    through an alignment there are more than it will ever have walked.
    """
    values, outputs = {id(backbone.input): channels}, {}
    for layer in backbone.layers[1:]:
        several, before = isinstance(layer.input, list), layer.output
        given = [values[id(tensor)] for tensor in (layer.input if several else [layer.input])]
        values[id(before)] = outputs[layer.name] = layer(given if several else given[0])
    return outputs


def _again(backbone: Any, taps: dict[str, Any], prefixes: tuple[str, ...]) -> dict[str, Any]:
    """The outputs of a second copy of the layers with these prefixes, with the backbone's own weights.

    They follow on the same layers below them; the name of each begins with ``tuned_``.
    """
    values, outputs = {id(layer.output): taps[layer.name] for layer in backbone.layers[1:]}, {}
    for layer in backbone.layers:
        if any(layer.name.startswith(prefix) for prefix in prefixes):
            copy = type(layer).from_config(layer.get_config() | {"name": TUNED + layer.name})
            values[id(layer.output)] = outputs[copy.name] = copy(values[id(layer.input)])
            copy.set_weights(layer.get_weights())
    return outputs


def _pools(taps: dict[str, Any], backbone: Backbone) -> dict[str, Any]:
    """The means over the maps that the backbone's entry names, and all of them together as ``pooled``."""
    from keras import layers

    pools = {
        name: layers.GlobalAveragePooling2D(name=name, dtype="float32")(taps[layer])
        for name, layer in backbone.pooled
    }
    if not pools:
        return {}
    return {**pools, "pooled": layers.Concatenate(name="pooled", dtype="float32")(list(pools.values()))}


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _copy_weights(source: Any, target: Any) -> None:
    pairs = zip(
        [layer for layer in source.layers if layer.weights],
        [layer for layer in target.layers if layer.weights],
        strict=True,
    )
    for given, taken in pairs:
        taken.set_weights(given.get_weights())
