"""Augmentation: a fixed number of drawn copies of a training film, the same ones for ever."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.settings import LABELS

Pair = NDArray[np.float64]

_MAX_ROTATION = 10.0  # degrees either way
_LEAST_CROP = 0.6  # share of a side that a crop keeps
_LEAST_AREA = 0.3  # share of the film that a copy of the kind "variety" keeps
_BANDS = (4.2, 8.5, 17.0, 34.0, 68.0)  # cycles a film: the middle of each of the texture probe's bands
_MOST_GAIN = 0.5  # of the logarithm of a band's amplitude, either way


@dataclass(frozen=True)
class Augmentation:
    """``draw(film uint8 (S, S), generator)`` gives another film of that shape.

    ``applies_to`` the training films of the rarer class, or to all of them. ``of`` says what is drawn on: the
    film as a view framed it, or the whole film, which the view then frames. Cached copies are named by the
    kind alone: a change of ``draw`` needs a new name.
    """

    applies_to: Literal["minority", "all"]
    draw: Callable[[Grey, np.random.Generator], Grey]
    of: Literal["framed film", "whole film"] = "framed film"


def augmented(film: Grey, image_sha256: str, variant: int, kind: str) -> Grey:
    """Copy number ``variant`` of a film: a function of its arguments alone; 0 is the film itself."""
    if variant == 0:
        return film
    seed = hashlib.sha256(f"{kind}\0{image_sha256}\0{variant}".encode()).digest()
    return find_kind(kind).draw(film, np.random.default_rng(int.from_bytes(seed, "big")))


def rows_with_variants(training: pd.DataFrame, kind: str) -> "pd.Series[bool]":
    """Which rows of a snapshot get drawn copies: train rows, of the rarer class where the kind says so.

    Validation films never do: they stand for what comes in.
    """
    train = training["split"] == "train"
    if kind == "none" or find_kind(kind).applies_to == "all":
        return train & (kind != "none")
    counts = {label: int((train & (training["label"] == label)).sum()) for label in LABELS}
    return train & (training["label"] == min(LABELS, key=lambda label: counts[label]))


def find_kind(name: str) -> Augmentation:
    """The kind of that name; BadConfiguration, listing the names, where there is none."""
    try:
        return KINDS[name]
    except KeyError:
        raise BadConfiguration(
            f"{name!r} is not a kind of augmentation", do=f"One of: none, {', '.join(KINDS)}."
        ) from None


def _article(film: Grey, rng: np.random.Generator) -> Grey:
    """A small rotation about the centre, with black corners, and for every second copy a mirror image."""
    angle = rng.uniform(-_MAX_ROTATION, _MAX_ROTATION)
    turned = np.asarray(Image.fromarray(film).rotate(angle, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(turned[:, ::-1] if rng.random() < 0.5 else turned)


def _crops(film: Grey, rng: np.random.Generator) -> Grey:
    """A part of the film, its two sides cut independently, so that neither size nor aspect tells anything."""
    side = film.shape[0]
    size = rng.uniform(_LEAST_CROP, 1.0, 2) * side
    corner = rng.uniform(0.0, 1.0, 2) * (side - size)
    return _exposed(_cut(film, corner, size, rng), rng)


def _shifts(film: Grey, rng: np.random.Generator) -> Grey:
    """The film a little larger or smaller, and elsewhere in the frame, with black beyond its edges."""
    side = film.shape[0]
    size = side * rng.uniform(0.88, 1.12, 2)
    corner = (side - size) / 2 + side * rng.uniform(-0.08, 0.08, 2)
    return _exposed(_cut(film, corner, size, rng), rng)


def _variety(film: Grey, rng: np.random.Generator) -> Grey:
    """A part of the film, at another exposure, each band of frequencies at another strength."""
    side, area = film.shape[0], rng.uniform(_LEAST_AREA, 1.0)
    aspect = np.exp(rng.uniform(-0.25, 0.25))
    size = side * np.minimum(np.sqrt(area) * np.array([aspect, 1 / aspect]), 1.0)
    corner = rng.uniform(0.0, 1.0, 2) * (side - size)
    return _exposed(_other_texture(_cut(film, corner, size, rng), rng), rng)


def _other_texture(film: Grey, rng: np.random.Generator) -> Grey:
    """Each band of frequencies stronger or weaker, as another device or another resolution makes it."""
    side = film.shape[0]
    cycles = np.hypot(*np.meshgrid(np.fft.rfftfreq(side, 1 / side), np.fft.fftfreq(side, 1 / side)))
    places, gains = np.log([1.5, *_BANDS]), [0.0, *rng.uniform(-_MOST_GAIN, _MOST_GAIN, len(_BANDS))]
    gain = np.exp(np.interp(np.log(np.maximum(cycles, 1.0)), places, gains))
    value = np.fft.irfft2(np.fft.rfft2(film.astype(np.float64)) * gain, film.shape)
    return np.rint(np.clip(value, 0, 255)).astype(np.uint8)


def _cut(film: Grey, corner: Pair, size: Pair, rng: np.random.Generator) -> Grey:
    """The rectangle (x, y) of the film as a film of its own, turned a little; every second one mirrored."""
    side, angle = film.shape[0], np.deg2rad(rng.uniform(-_MAX_ROTATION, _MAX_ROTATION))
    along = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (
        size[:, None] / side
    )
    if rng.random() < 0.5:
        along[:, 0] *= -1
    start = corner + size / 2 - along @ np.full(2, side / 2)
    matrix = (along[0, 0], along[0, 1], start[0], along[1, 0], along[1, 1], start[1])
    picture = Image.fromarray(film)
    return np.asarray(
        picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    )


def _exposed(film: Grey, rng: np.random.Generator) -> Grey:
    """Another exposure: gamma, contrast, and for every third copy a blur."""
    value = (film / 255.0) ** np.exp(rng.uniform(-0.4, 0.4))
    value = (value - value.mean()) * rng.uniform(0.7, 1.2) + value.mean() + rng.uniform(-0.08, 0.08)
    picture = Image.fromarray(np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 1 / 3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    return np.asarray(picture)


KINDS: dict[str, Augmentation] = {
    "article": Augmentation("minority", _article),
    "crops": Augmentation("all", _crops),
    "shifts": Augmentation("all", _shifts),
    "variety": Augmentation("all", _variety, of="whole film"),
}
