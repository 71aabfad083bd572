"""Pictures for the reviewer: the worst misses and the flips, with what the model looked at."""

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.training.model.artefact import Traced
from pneumo_tasks.training.recipe import FRAME

log = logging.getLogger(__name__)

MISSES, FLIPS = 6, 8
_SIDE = 168


class Explanation(BaseModel):
    """A film as a small JPEG, base64; ``heat`` is what the model saw of it under its Grad-CAM."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    film: str
    heat: str | None


def worst_misses(scores: pd.DataFrame) -> pd.DataFrame:
    """The pneumonias called normal with the lowest, the normals called ill with the highest scores."""
    positive = scores["label"] == "PNEUMONIA"
    missed = scores[positive & ~scores["called"]].nsmallest(MISSES, "probability")
    alarms = scores[~positive & scores["called"]].nlargest(MISSES, "probability")
    return pd.concat([missed, alarms])


@dataclass(frozen=True)
class Heat:
    """Where a score would change most: ``maps`` (V, h, w) of 0..1, one for each view of the film.

    ``seen`` (V, side, side) is what the network saw, for a map lies on that and not on the film.
    """

    maps: NDArray[np.float32]
    seen: NDArray[np.uint8]


def explain(model: Any, films: Sequence[tuple[str, Grey]]) -> list[Explanation]:
    """A picture of every film, and of the Grad-CAM of its first view where the model has a convolution."""
    heats = grad_cam(model, [film for _, film in films])
    return [
        Explanation(
            sha256=digest,
            film=_jpeg(film),
            heat=None if heat is None else _jpeg(heat.seen[0], heat.maps[0]),
        )
        for (digest, film), heat in zip(films, heats, strict=True)
    ]


def grad_cam(model: Any, films: Sequence[Grey]) -> list[Heat | None]:
    """Grad-CAM (Selvaraju et al. 2017) for pneumonia at the last convolution.

    A map says where the score would change most, not what is ill. None where the model has no
    convolution or nothing speaks for pneumonia.
    """
    import keras
    import tensorflow as tf

    layer = next((part for part in reversed(model.layers) if "Conv" in type(part).__name__), None)
    if layer is None:
        return [None] * len(films)
    model.trainable = True  # or the tape would not record what frozen layers do
    frame = next((part.output for part in model.layers if part.name == FRAME), None)
    # Only what comes after the frame is taped: op by op, an alignment would take seconds a film.
    traced = Traced.of(model)
    probe = keras.Model(model.inputs[0] if frame is None else frame, [layer.output, model.output])
    heats: list[Heat | None] = []
    for film in films:
        batch = film[None, ..., None]
        seen = batch if frame is None else traced.part(FRAME, batch)
        with tf.GradientTape() as tape:
            maps, probability = probe(seen, training=False)
            certain = tf.clip_by_value(probability, 1e-6, 1 - 1e-6)
            score = tf.math.log(certain) - tf.math.log1p(-certain)
        slope = tape.gradient(score, maps)
        if slope is None:
            heats.append(None)
            continue
        weights = tf.reduce_mean(slope, axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy()
        shown = np.rint(np.clip(seen[..., 0], 0, 255)).astype(np.uint8)
        heats.append(Heat((heat / heat.max()).astype(np.float32), shown) if heat.max() > 0 else None)
    return heats


def under_heat(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """The picture with ``heat`` (h, w), 0 to 1, laid over in orange, so that the film shows through."""
    mask = Image.fromarray((heat * 150).astype(np.uint8)).resize(picture.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", picture.size, (255, 120, 0)), picture.convert("RGB"), mask)


def _jpeg(film: Grey, heat: NDArray[np.float32] | None = None) -> str:
    """At most ``_SIDE`` pixels a side, under its heat where that is given."""
    picture = Image.fromarray(film).convert("L")
    picture.thumbnail((_SIDE, _SIDE))
    if heat is not None:
        picture = under_heat(picture, heat)
    buffer = io.BytesIO()
    picture.save(buffer, "jpeg", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
