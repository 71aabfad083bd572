"""Features: what the frozen layers say about an image, computed once and kept in the bucket."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import BadConfiguration, ObjectMissing
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.local_disk import allocate, written_below
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.augmentation import rows_with_variants
from pneumo_tasks.training.features.frozen_parts import FrozenParts
from pneumo_tasks.training.features.frozen_pass import FrozenPass, derivable, measure_precision
from pneumo_tasks.training.features.keys import Pass, needed_extractors, pass_of
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.precision import settled_precision
from pneumo_tasks.training.features.shards import Shard, find_shard, write_shard
from pneumo_tasks.training.framing.frames import View
from pneumo_tasks.training.framing.views import resolve_views
from pneumo_tasks.training.hardware import chosen_precision, prepare_hardware
from pneumo_tasks.training.model.backbones import BackboneWeights, resolve_weights
from pneumo_tasks.training.recipe import Recipe
from pneumo_tasks.training.recipes import chosen_recipe

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 15.0


class Extracted(BaseModel):
    """What extracting one shard came to; ``computed`` is 0 where everything was there already."""

    model_config = ConfigDict(frozen=True)

    shard: str
    images: int
    computed: int
    cuts: list[str]
    precision: str
    seconds: float
    images_per_second: float | None
    digests: dict[str, str] = {}


@dataclass(frozen=True)
class Job:
    """One pass over one shard: ``rows`` to have, the ``cuts`` that lack some of them, and what is there."""

    view: View
    source: Pass
    rows: pd.DataFrame
    cuts: tuple[str, ...]
    there: dict[str, Shard]

    @property
    def images(self) -> list[str]:
        return list(self.rows["sha256"])

    @property
    def start(self) -> Shard | None:
        """Cached block4 output that all missing cuts can be derived from, or None: from the films."""
        shard = self.there.get("block4_pool")
        usable = shard is not None and "block4_pool" not in self.cuts and derivable(self.cuts)
        return shard if usable else None

    def unknown(self) -> pd.DataFrame:
        """The rows that at least one missing cut has nothing about."""
        known = [set(self.there[cut].row_of) if cut in self.there else set() for cut in self.cuts]
        return self.rows[~self.rows["sha256"].isin(set.intersection(*known))]


@dataclass(frozen=True)
class Extraction:
    """What extracting any shard of a snapshot starts from; what is built for one shard serves all."""

    settings: Settings
    store: ObjectStore
    cache: LocalCache
    recipe: Recipe
    weights: BackboneWeights
    views: tuple[View, ...]
    training: pd.DataFrame
    parts: FrozenParts

    @classmethod
    def prepare(cls, settings: Settings, store: ObjectStore, snapshot_id: str) -> Self:
        recipe = chosen_recipe(settings)
        weights = resolve_weights(settings, store, recipe.backbone)
        views = resolve_views(settings, store, recipe, snapshot_id)
        training = training_rows(store, snapshot_id)
        parts = FrozenParts(recipe, weights)
        return cls(settings, store, LocalCache(settings), recipe, weights, views, training, parts)

    def frozen(self, job: Job) -> FrozenPass:
        return FrozenPass.build(self.parts, job.view, job.source, job.cuts, job.start is not None)


def extract_features(settings: Settings, store: ObjectStore, snapshot_id: str, shard_id: str) -> Extracted:
    """Make sure that the features of one shard are in the bucket, whole, for the recipe's cuts.

    Features that are there with the right digest are not computed again; what is missing, short
    or damaged is. Raises BadData where an image of the snapshot no longer is what it was.
    """
    extraction = Extraction.prepare(settings, store, snapshot_id)
    rows = extraction.training[extraction.training["shard"] == shard_id]
    if rows.empty:
        raise ObjectMissing("no such shard in the snapshot", where=f"{snapshot_id}/{shard_id}")
    return _extract(extraction, rows, shard_id)


def extract_exactly(settings: Settings, store: ObjectStore, snapshot_id: str, *splits: str) -> None:
    """Make sure that the features of these splits' films are there in float32, for the recipe's cuts."""
    exact = settings.model_copy(update={"precision": "float32"})
    extraction = Extraction.prepare(exact, store, snapshot_id)
    rows = extraction.training[extraction.training["split"].isin(splits)]
    for shard_id, part in rows.groupby("shard", sort=True):
        _extract(extraction, part, str(shard_id))


def _extract(extraction: Extraction, rows: pd.DataFrame, shard_id: str) -> Extracted:
    started = time.monotonic()
    jobs = _jobs(extraction, rows, shard_id)
    missing = [job for job in jobs if job.cuts]
    if missing:
        prepare_hardware(extraction.settings)
    for job in missing:
        _run(extraction, job, shard_id)
    seconds = time.monotonic() - started
    computed = sum(len(job.unknown()) for job in missing)
    log.info("shard %s: %d images, %d computed, %.0f s", shard_id, len(rows), computed, seconds)
    return Extracted(
        shard=shard_id,
        images=len(rows),
        computed=computed,
        cuts=sorted({cut for job in missing for cut in job.cuts}),
        precision=jobs[0].source.precision,
        seconds=round(seconds, 3),
        images_per_second=round(computed / seconds, 2) if computed else None,
    )


def _jobs(extraction: Extraction, rows: pd.DataFrame, shard_id: str) -> list[Job]:
    """One job for each view and variant: the films first, then their drawn copies."""
    recipe, training = extraction.recipe, extraction.training
    trained_on = training["split"].mask(training["split"].isin(recipe.head.trains_on), "train")
    varied = rows[rows_with_variants(training.assign(split=trained_on), recipe.augmentation).loc[rows.index]]
    precision, jobs = _usable_precision(extraction, rows), []
    for view in extraction.views:
        for variant in range(recipe.variants + 1 if view.varied else 1):
            source = pass_of(recipe, extraction.weights, view, precision, variant)
            wanted, cuts = (varied, recipe.needed_cuts) if variant else (rows, recipe.cuts)
            if not wanted.empty:
                jobs.append(_job(extraction, view, source, wanted, cuts, shard_id))
    return jobs


def _usable_precision(extraction: Extraction, rows: pd.DataFrame) -> str:
    """This machine's best precision, or float32 where films show that it is not good enough."""
    settings, store = extraction.settings, extraction.store
    recipe, weights = extraction.recipe, extraction.weights
    preferred = chosen_precision(settings)
    for view in extraction.views:
        source = pass_of(recipe, weights, view, preferred)
        measure_precision(settings, store, extraction.parts, view, source, recipe.cuts, rows)
    extractors = needed_extractors(recipe, weights, extraction.views, preferred)
    return settled_precision(settings, store, preferred, extractors)


def _job(
    extraction: Extraction,
    view: View,
    source: Pass,
    rows: pd.DataFrame,
    cuts: tuple[str, ...],
    shard_id: str,
) -> Job:
    store, cache = extraction.store, extraction.cache
    found = {cut: find_shard(store, cache, source.output(cut), shard_id) for cut in cuts}
    there = {cut: shard for cut, shard in found.items() if shard is not None}
    images = set(rows["sha256"])
    missing = tuple(cut for cut in cuts if cut not in there or not images <= set(there[cut].row_of))
    return Job(view, source, rows.reset_index(drop=True), missing, there)


def _run(extraction: Extraction, job: Job, shard_id: str) -> None:
    frozen, store, cache = extraction.frozen(job), extraction.store, extraction.cache
    with cache.unfinished() as folder:
        parts = {cut: folder / cut for cut in job.cuts}
        with written_below(cache.folder):
            arrays = {
                cut: np.lib.format.open_memmap(
                    path, "w+", job.source.output(cut).dtype, (len(job.rows), *frozen.shape(cut))
                )
                for cut, path in parts.items()
            }
        for path in parts.values():
            allocate(path)
        _fill(extraction, frozen, job, arrays)
        for cut, path in parts.items():
            arrays.pop(cut).flush()
            write_shard(store, cache, job.source.output(cut), shard_id, path, job.images)


def _fill(
    extraction: Extraction, frozen: FrozenPass, job: Job, arrays: "dict[str, np.memmap[Any, Any]]"
) -> None:
    """Copy what an earlier shard knew of these images; compute the rest."""
    row_of = {image: row for row, image in enumerate(job.images)}
    for cut in job.cuts:
        known = [image for image in job.images if cut in job.there and image in job.there[cut].row_of]
        if known:
            arrays[cut][[row_of[image] for image in known]] = job.there[cut].read(known)
    unknown = job.unknown()
    done, started = 0, time.monotonic()
    told = started
    answers = (
        frozen.from_films(extraction.settings, extraction.store, unknown)
        if job.start is None
        else frozen.from_features(job.start, list(unknown["sha256"]))
    )
    for images, outputs in answers:
        places = [row_of[image] for image in images]
        for cut, output in outputs.items():
            arrays[cut][places] = _fitting(output, arrays[cut].dtype, cut)
        done += len(images)
        if time.monotonic() - told > PROGRESS_SECONDS or done == len(unknown):
            told = time.monotonic()
            rate = done / (told - started)
            log.info("features: %d of %d images, %.1f images/s, ETA %.0f s", done, len(unknown), rate,
                     (len(unknown) - done) / rate)  # fmt: skip


def _fitting(output: NDArray[Any], dtype: Any, cut: str) -> NDArray[Any]:
    """``output`` as it lies on disk; BadConfiguration where a value exceeds what float16 can hold."""
    stored = output.astype(dtype)
    if not np.isfinite(stored).all():
        raise BadConfiguration(
            f"features of {cut} do not fit {dtype}", do="Set PNEUMO_PRECISION=float32 and run again."
        )
    return stored
