"""Extraction: one pass through the frozen network, from films or from cached features, to several outputs."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.films.imaging import Grey
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.augmentation import augmented, find_kind
from pneumo_tasks.training.features.frozen_parts import Framer, FrozenParts
from pneumo_tasks.training.features.keys import Pass
from pneumo_tasks.training.features.precision import SAMPLE, read_error, record_error, relative_error
from pneumo_tasks.training.features.shards import Shard
from pneumo_tasks.training.films import by_size, read_films
from pneumo_tasks.training.framing.frames import WHOLE_FILM, View
from pneumo_tasks.training.hardware import prepare_hardware
from pneumo_tasks.training.recipe import FRAME

Outputs = dict[str, NDArray[Any]]

DERIVED_FROM = "block4_pool"


@dataclass(frozen=True)
class FrozenPass:
    """The frozen network between ``frame`` (or cached block4 output) and the cuts, in one precision."""

    frame: Framer
    body: Any
    source: Pass
    cuts: tuple[str, ...]
    whole: Framer | None = None  # where copies are drawn on the whole film

    @classmethod
    def build(
        cls, parts: FrozenParts, view: View, source: Pass, cuts: tuple[str, ...], derived: bool = False
    ) -> Self:
        start = DERIVED_FROM if derived else FRAME
        body = parts.body(view, source.precision, start, cuts)
        before = source.variant > 0 and find_kind(source.augmentation).of == "whole film"
        return cls(parts.framer(view), body, source, cuts, parts.framer(WHOLE_FILM) if before else None)

    @property
    def batch(self) -> int:
        """Larger where values take half the memory: bfloat16 on a CPU needs it for its speed."""
        return 32 if self.source.precision == "float32" else 128

    def shape(self, cut: str) -> tuple[int, ...]:
        outputs = self.body.outputs[self.cuts.index(cut)]
        return tuple(outputs.shape[1:])

    def from_films(
        self, settings: Settings, store: ObjectStore, rows: pd.DataFrame
    ) -> Iterator[tuple[list[str], Outputs]]:
        """(sha256 of the images, their outputs), a batch at a time."""
        done = 0
        for films in read_films(settings, store, rows, self.batch):
            images = list(rows["sha256"].iloc[done : done + len(films)])
            done += len(films)
            yield images, self._outputs(self.frames(films, images))

    def from_features(self, start: Shard, images: list[str]) -> Iterator[tuple[list[str], Outputs]]:
        for first in range(0, len(images), self.batch):
            part = images[first : first + self.batch]
            yield part, self._outputs(start.read(part).astype(np.float32))
            start.array.release()

    def frames(self, films: list[Grey], images: list[str]) -> NDArray[np.float32]:
        """The films as the view frames them; of a copy, drawn before that or after."""
        if self.source.variant == 0:
            return by_size(self.frame, films)
        if self.whole is not None:
            return by_size(self.frame, self._drawn(by_size(self.whole, films), images))
        drawn = self._drawn(by_size(self.frame, films), images)
        return np.stack(drawn)[..., None].astype(np.float32)

    def _drawn(self, frames: NDArray[np.float32], images: list[str]) -> list[Grey]:
        rounded = np.clip(np.rint(frames[..., 0]), 0, 255).astype(np.uint8)
        return [
            augmented(film, image, self.source.variant, self.source.augmentation)
            for film, image in zip(rounded, images, strict=True)
        ]

    def _outputs(self, values: NDArray[np.float32]) -> Outputs:
        answers = self.body.predict_on_batch(values)
        answers = answers if isinstance(answers, list) else [answers]
        return dict(zip(self.cuts, answers, strict=True))


def derivable(cuts: tuple[str, ...]) -> bool:
    """Whether the cached output of block4 is enough to compute all of ``cuts``."""
    return all(cut.startswith("block5_") for cut in cuts)


def measure_precision(
    settings: Settings,
    store: ObjectStore,
    parts: FrozenParts,
    view: View,
    source: Pass,
    cuts: tuple[str, ...],
    rows: pd.DataFrame,
) -> None:
    """Compare a lower precision with float32 on a sample of films, once for each extractor."""
    unmeasured = tuple(cut for cut in cuts if read_error(store, source.output(cut)) is None)
    if not unmeasured:
        return
    prepare_hardware(settings)
    sample = rows.head(SAMPLE)
    outputs = []
    for one in (dataclasses.replace(source, precision="float32"), source):
        frozen = FrozenPass.build(parts, view, one, unmeasured)
        batches = [answer for _, answer in frozen.from_films(settings, store, sample)]
        outputs.append({cut: np.concatenate([batch[cut] for batch in batches]) for cut in unmeasured})
    for cut in unmeasured:
        error = relative_error(outputs[1][cut], outputs[0][cut])
        record_error(store, source.output(cut), error, len(sample))
