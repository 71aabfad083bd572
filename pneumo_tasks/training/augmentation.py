"""Augmentation: a fixed number of drawn copies of a training film, the same ones for ever."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import LABELS

Grey = NDArray[np.uint8]

_MAX_ROTATION = 10.0  # degrees either way


@dataclass(frozen=True)
class Kind:
    """``draw(framed film uint8 (S, S), generator)`` gives another film of that shape.

    ``applies_to`` the training films of the rarer class, or to all of them. Cached copies are
    named by the kind alone: a change of ``draw`` needs a new name.
    """

    applies_to: Literal["minority", "all"]
    draw: Callable[[Grey, np.random.Generator], Grey]


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


def find_kind(name: str) -> Kind:
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


KINDS: dict[str, Kind] = {"article": Kind("minority", _article)}
