"""Shortcuts: can the label be read off what has nothing to do with the disease?

Geometry is how the lungs lie in the frame: the six parameters of the map that aligns a film. On
the public training films they alone predict the label with AUC .88, on its test films with .62; a
model that learned them fails where films are framed otherwise, and no validation split of the same
films can tell. Measured as received, and again on the films as the standard frame leaves them: there with
the film's own pixels, for what lies beyond its edges was mirrored, and says nothing of the lungs.

Texture is another: how strong a film is in five bands of frequencies, and its mean grey.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.evaluation.probes.texture import BANDS, texture
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.intake.rules.adversarial import SEED
from pneumo_tasks.training.films import by_size
from pneumo_tasks.training.framing import alignment
from pneumo_tasks.training.framing.affine_maps import BOX, FILM_EDGE, SIDE, WHOLE, Matrix, warp
from pneumo_tasks.training.framing.frames import resize, squash
from pneumo_tasks.training.framing.reframing import reframed
from pneumo_tasks.training.model.artefact import chunks

Values = NDArray[np.float64]

THUMBNAIL = 32
_FOLDS = 5
_PIXELS = 7 + len(BANDS) + 1  # where they begin in the row of a film: after map, verdict and texture
_RIM = 0.1  # of each side
_DRAWN_ZOOM, _DRAWN_SHIFT = 0.22, 0.12  # wider than films differ: of the log of a side, and of a side


@dataclass(frozen=True)
class Framed:
    """Films (N) as they came, or as the standard frame leaves them: how they lie, how they are exposed.

    ``geometry`` (N, 6) is the map that would still align them, ``exposure`` (N, 8) statistics of
    their grey levels, ``texture`` (N, 6) how strong each band of frequencies is, ``thumbnail`` uint8
    (N, THUMBNAIL, THUMBNAIL), ``aligned`` (N) whether a map was found.
    """

    geometry: Values
    exposure: Values
    texture: Values
    thumbnail: NDArray[np.uint8]
    aligned: NDArray[np.bool_]


class FrameGauge:
    """Measures films before and after the standard frame; the graph is built once."""

    def __init__(self, template: Matrix, rounds: tuple[int, ...] = alignment.ROUNDS) -> None:
        import tensorflow as tf

        target = alignment.target_of(template)
        # Traced once for all sizes, and each search as a loop: tracing every step of two alignments takes
        # longer than measuring a thousand films.
        signature = [tf.TensorSpec((None, None, None, 1), tf.uint8)]
        self._measured = tf.function(
            lambda films: _measured(films, target, rounds), input_signature=signature, autograph=False
        )

    def measure(self, films: Iterable[Grey]) -> tuple[Framed, Framed]:
        """(as received, in the standard frame), in the order of the films."""
        answers = [by_size(lambda batch: self._measured(batch).numpy(), chunk) for chunk in chunks(films)]
        before, after = np.split(np.concatenate(answers), 2, axis=1)
        return _framed(before), _framed(after)


def _measured(films: Any, target: Matrix, rounds: tuple[int, ...]) -> Any:
    """One row a film, as it came and in the standard frame: its map, whether one was found, its pixels."""
    from keras import ops

    film, loop = squash(films, SIDE), alignment.looped
    first = alignment.align(film, target, rounds, "_before", loop)
    moved = alignment.small(warp(film, first.parameters, SIDE, WHOLE))
    second = alignment.align_small(moved, target, first.parameters, "_after", loop)
    box = warp(film, first.parameters, SIDE)  # what the network's frame makes of the film
    parts = [
        value
        for frame, found in ((film, first), (box, second))
        for value in (
            found.parameters,
            found.accepted,
            texture(frame),
            ops.reshape(resize(frame, 2 * THUMBNAIL), (-1, 4 * THUMBNAIL**2)),
        )
    ]
    return ops.concatenate(parts, axis=1)


def drawn_frames(films: Iterable[Grey]) -> Iterator[Grey]:
    """The films, each in a frame drawn at random, the same each time: how it lies then says nothing.

    What the label is still predicted with is the disease, which the alignment sees: a floor for the measure.
    """
    rng = np.random.default_rng(SEED)
    for film in films:
        across, down = np.exp(rng.uniform(-_DRAWN_ZOOM, _DRAWN_ZOOM, 2))
        right, lower = rng.uniform(-_DRAWN_SHIFT, _DRAWN_SHIFT, 2)
        yield reframed(film, float(across), float(down), float(right), float(lower))


def in_pixels(geometry: Values) -> Values:
    """Maps (N, 6) in whole pixels of SIDE at the film's edge; finer, they tell how far a search converged."""
    return np.rint(geometry * (SIDE / 2 / FILM_EDGE))


def mirrored_rim(geometry: Values) -> Values:
    """How far each corner of the lungs' box lies beyond the film, (N, 8), as a share of half its side.

    What the standard frame shows there is mirrored; a network could tell from it how a film was framed.
    """
    left, right, top, bottom = ((2 * edge / SIDE - 1) * FILM_EDGE for edge in BOX)
    corners = np.array([[left, right, left, right], [top, top, bottom, bottom], [1, 1, 1, 1]])
    beyond: Values = np.abs(geometry.reshape(-1, 2, 3) @ corners) / FILM_EDGE - 1
    return np.maximum(beyond, 0).reshape(-1, 8)


def shortcut_auc(nuisance: Values, ill: NDArray[np.bool_], patients: Iterable[str]) -> float:
    """Out-of-fold ROC AUC of the label from ``nuisance`` (N, K) alone, no patient in two folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits

    names, scores = np.asarray(list(patients), dtype=str), np.zeros(len(ill))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=SEED)
    for fit, held in folds.split(nuisance, ill, names):
        model = HistGradientBoostingClassifier(max_iter=80, random_state=SEED)
        # A few thousand rows: threads that wait for one another on a busy worker took ten minutes.
        with threadpool_limits(1, user_api="openmp"):
            scores[held] = model.fit(nuisance[fit], ill[fit]).predict_proba(nuisance[held])[:, 1]
    return float(roc_auc_score(ill, scores))


def file_facts(rows: pd.DataFrame) -> Values:
    """Bytes a pixel, width, height and aspect of the files, (N, 4)."""
    width, height = rows["width"].to_numpy(float), rows["height"].to_numpy(float)
    return np.stack([rows["bytes"].to_numpy(float) / (width * height), width, height, width / height], 1)


def _framed(answer: NDArray[Any]) -> Framed:
    pixels = answer[:, _PIXELS:].reshape(-1, 2 * THUMBNAIL, 2 * THUMBNAIL)
    small = pixels.reshape(-1, THUMBNAIL, 2, THUMBNAIL, 2).mean((2, 4))
    return Framed(
        answer[:, :6].astype(np.float64),
        _exposure(pixels),
        answer[:, 7:_PIXELS].astype(np.float64),
        np.rint(np.clip(small, 0, 255)).astype(np.uint8),
        answer[:, 6] > 0,
    )


def _exposure(pixels: NDArray[Any]) -> Values:
    """Mean, deviation, dark and bright share, and the mean of each edge's strip."""
    flat, rim = pixels.reshape(len(pixels), -1), max(1, round(_RIM * pixels.shape[1]))
    strips = (pixels[:, :rim], pixels[:, -rim:], pixels[:, :, :rim], pixels[:, :, -rim:])
    facts = [flat.mean(1), flat.std(1), (flat < 16).mean(1), (flat > 240).mean(1)]
    return np.stack([*facts, *(strip.mean((1, 2)) for strip in strips)], 1).astype(np.float64)
