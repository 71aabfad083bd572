"""Features of training films, of drawn and of altered copies, kept on disk: what variants are made of."""

import hashlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pneumo_tasks.evaluation.probes.robustness import as_poor_jpeg, with_gamma
from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.settings import LABELS
from pneumo_tasks.storage.object_store import canonical_json, sha256
from pneumo_tasks.training.augmentation import augmented
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.films import by_size
from pneumo_tasks.training.framing.frames import CORE, SQUASH, View
from pneumo_tasks.training.framing.reframing import REFRAMINGS
from pneumo_tasks.training.framing.standard_frame import standard_view
from pneumo_tasks.training.framing.template import FILMS_A_CLASS, fit_template
from pneumo_tasks.training.recipe import FRAME

log = logging.getLogger(__name__)

CUTS = ("pooled", "block4_pool")
BATCH = 128
VERSION = 1


@dataclass(frozen=True)
class Kept:
    """What the frozen layers say of each film, in the order of the films; block4 memory-mapped, float16."""

    pooled: NDArray[np.float32]
    block4: NDArray[np.float16]


@dataclass
class Films:
    """The films and the frozen network; ``of(way, view)`` computes once what the network says of a copy.

    Of a drawn copy only the films that may be ``taught`` are computed, of an alteration those that are
    ``judged``; the rows of the others are 0.
    """

    table: pd.DataFrame
    films: list[Grey]
    parts: FrozenParts
    precision: str
    folder: Path
    taught: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    views: dict[str, View] = field(default_factory=dict)
    _open: dict[tuple[str, str], Kept] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.views = {"aligned": standard_view(self._template()), "whole": SQUASH, "core": CORE}

    def of(self, way: str, view: str) -> Kept:
        """``way``: 'own', '<kind> <number>' of an augmentation, or the name of an alteration."""
        if (way, view) not in self._open:
            self._open[way, view] = self._kept(way, view)
        return self._open[way, view]

    def _kept(self, way: str, view: str) -> Kept:
        facts = {"way": way, "view": self.views[view].sha256, "precision": self.precision,
                 "images": sha256("".join(self.table["sha256"][self._wanted(way)]).encode()),
                 "side": self.parts.recipe.image_size, "films": len(self.films),
                 "version": VERSION}  # fmt: skip
        stem = self.folder / sha256(canonical_json(facts))[:16]
        paths = [stem.with_suffix(f".{cut}.npy") for cut in CUTS]
        if not all(path.exists() for path in paths):
            log.info("features: %s, %s", way, view)
            for path, values in zip(paths, self._computed(way, view), strict=True):
                with path.with_suffix(".part").open("wb") as file:
                    np.save(file, values)
                path.with_suffix(".part").rename(path)
        return Kept(np.load(paths[0]), np.load(paths[1], mmap_mode="r"))

    def _computed(self, way: str, view: str) -> tuple[NDArray[Any], NDArray[Any]]:
        body = self.parts.body(self.views[view], self.precision, FRAME, CUTS)
        frame = self.parts.framer(self.views[view])
        answers, wanted = [], np.flatnonzero(self._wanted(way))
        for start in range(0, len(wanted), BATCH):
            rows = self.table.iloc[wanted[start : start + BATCH]]
            films = [self.films[i] for i in wanted[start : start + BATCH]]
            if way == "crops 1":  # the product draws this kind on what the view framed
                frames = np.clip(np.rint(by_size(frame, films)[..., 0]), 0, 255).astype(np.uint8)
                films = [changed(f, image, way) for f, image in zip(frames, rows["sha256"], strict=True)]
                framed = np.stack(films)[..., None].astype(np.float32)
            else:
                films = [changed(f, image, way) for f, image in zip(films, rows["sha256"], strict=True)]
                framed = by_size(frame, films)
            answers.append(body.predict_on_batch(framed))
        found = []
        for parts, dtype in zip(zip(*answers, strict=True), (np.float32, np.float16), strict=True):
            values = np.zeros((len(self.films), *parts[0].shape[1:]), dtype)
            values[wanted] = np.concatenate(parts)
            found.append(values)
        return found[0], found[1]

    def _wanted(self, way: str) -> NDArray[np.bool_]:
        if way == "own":
            return np.ones(len(self.films), bool)
        return self.judged if way in ALTERED else self.taught

    def _template(self) -> NDArray[np.float32]:
        path = self.folder / f"template-{sha256(''.join(self.table['sha256']).encode())[:16]}.npy"
        if not path.exists():
            chosen = self.table.groupby("label", sort=False).head(FILMS_A_CLASS).index
            ill = (self.table.loc[chosen, "label"] == LABELS[1]).to_numpy(bool)
            np.save(path, fit_template([self.films[i] for i in chosen], ill)[0])
        return np.asarray(np.load(path), np.float32)


def changed(film: Grey, image: str, way: str) -> Grey:
    """The film as ``way`` has it: a function of its arguments alone."""
    if way == "own":
        return film
    if way in ALTERED:
        seed = hashlib.sha256(f"{way}\0{image}".encode()).digest()
        return ALTERED[way](film, np.random.default_rng(int.from_bytes(seed, "big")))
    kind, number = way.rsplit(" ", 1)
    return augmented(film, image, int(number), kind)


def _retextured(film: Grey, rng: np.random.Generator) -> Grey:
    """Another device: a lower resolution, sharpened, noisy, or a poor JPEG; none as training draws it."""
    picture, (high, wide) = Image.fromarray(film), film.shape
    match rng.integers(4):
        case 0:
            small = picture.resize((round(wide * 0.55), round(high * 0.55)), Image.Resampling.BILINEAR)
            return np.asarray(small.resize((wide, high), Image.Resampling.BILINEAR))
        case 1:
            return np.asarray(picture.filter(ImageFilter.UnsharpMask(radius=3, percent=120, threshold=0)))
        case 2:
            noisy = film + rng.normal(0.0, 7.0, film.shape)
            return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
        case _:
            return as_poor_jpeg(film, 30)


def _reexposed(film: Grey, rng: np.random.Generator) -> Grey:
    brighter = with_gamma(film, float(np.exp(rng.uniform(-0.5, 0.5)))).astype(np.float64)
    value = (brighter - brighter.mean()) * rng.uniform(0.6, 1.2) + brighter.mean()
    return np.rint(np.clip(value, 0, 255)).astype(np.uint8)


def _reframed(film: Grey, rng: np.random.Generator) -> Grey:
    return REFRAMINGS[str(rng.choice(sorted(REFRAMINGS)))](film)


ALTERED: dict[str, Callable[[Grey, np.random.Generator], Grey]] = {
    "re-textured": _retextured,
    "re-exposed": _reexposed,
    "reframed": _reframed,
}


def read_films(table: pd.DataFrame) -> list[Grey]:
    return [
        np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"), np.uint8) for path in table["path"]
    ]
