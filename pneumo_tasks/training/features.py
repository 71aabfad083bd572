"""Features: what the frozen layers say about an image, computed once and kept in the bucket."""

import logging
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks import layout
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import BadData, CorruptArtefact, ObjectMissing
from pneumo_tasks.imaging import Limits, decode_grey
from pneumo_tasks.object_store import ObjectStore, check_digest, sha256, sha256_of_file
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.artefact import BATCH, run_on_images
from pneumo_tasks.training.backbones import BackboneWeights, resolve_weights
from pneumo_tasks.training.extractors import (
    ARRAY,
    INDEX,
    Extractor,
    ShardIndex,
    extractor_of,
    local_copy,
    open_array,
    read_index,
)
from pneumo_tasks.training.hardware import prepare_hardware
from pneumo_tasks.training.network import INPUT, build_network
from pneumo_tasks.training.recipes import FRAME, Recipe, find_recipe

log = logging.getLogger(__name__)

READERS = 8  # threads that fetch and decode images while the cores compute
PROGRESS_SECONDS = 15.0


def extract_features(
    settings: Settings, store: ObjectStore, snapshot_id: str, shard_id: str
) -> dict[str, Any]:
    """Make sure that the features of one shard are in the bucket, whole, for the recipe's cuts.

    Features that are there with the right digest are not computed again; what is missing, short
    or damaged is. Raises BadData where an image of the snapshot no longer is what it was.
    """
    recipe = find_recipe(settings.recipe)
    weights = resolve_weights(settings, store, recipe.backbone)
    rows = training_rows(store, snapshot_id)
    rows = rows[rows["shard"] == shard_id].reset_index(drop=True)
    if rows.empty:
        raise ObjectMissing("no such shard in the snapshot", where=f"{snapshot_id}/{shard_id}")
    extractors = [extractor_of(recipe, weights, cut) for cut in recipe.cuts]
    missing = [e for e in extractors if not is_whole(settings, store, e, shard_id, list(rows["sha256"]))]
    started = time.monotonic()
    if missing:
        _compute(settings, store, recipe, weights, rows, shard_id, missing)
    seconds = time.monotonic() - started
    log.info("shard %s: %d images, %d of %d arrays computed, %.0f s", shard_id, len(rows), len(missing),
             len(extractors), seconds)  # fmt: skip
    return {
        "shard": shard_id,
        "images": len(rows),
        "computed": len(rows) if missing else 0,
        "cuts": [extractor.cut for extractor in missing],
        "seconds": round(seconds, 3),
        "images_per_second": round(len(rows) / seconds, 2) if missing else None,
    }


def is_whole(
    settings: Settings, store: ObjectStore, extractor: Extractor, shard_id: str, images: list[str]
) -> bool:
    """Whether the bucket holds this shard for all ``images``, every byte as it was written."""
    try:
        index = read_index(store, extractor, shard_id)
        open_array(settings, store, extractor, shard_id, index)
        stored = {
            entry.key: entry.size for entry in store.list_objects(layout.features(extractor.id, shard_id))
        }
    except ObjectMissing:
        return False
    except (CorruptArtefact, ValueError) as error:
        log.warning("features of shard %s, %s, are computed again: %s", shard_id, extractor.cut, error)
        return False
    there = stored.get(layout.features(extractor.id, shard_id, ARRAY)) == index.bytes
    return there and set(images) <= set(index.images)


def _compute(
    settings: Settings,
    store: ObjectStore,
    recipe: Recipe,
    weights: BackboneWeights,
    rows: pd.DataFrame,
    shard_id: str,
    extractors: list[Extractor],
) -> None:
    prepare_hardware(settings)
    network = build_network(recipe, weights, settings.seed)
    frame = network.part(INPUT, FRAME)
    body = network.part(FRAME, *[extractor.cut for extractor in extractors])
    folder = local_copy(settings, "x").parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths = [folder / f"{uuid.uuid4().hex}.part" for _ in extractors]
    try:
        arrays = [_empty(path, len(rows), network, e.cut) for path, e in zip(paths, extractors, strict=True)]
        done, started = 0, time.monotonic()
        told = started
        for images in _read_images(settings, store, rows):
            answers = body.predict_on_batch(run_on_images(frame, images))
            for array, answer in zip(arrays, [answers] if len(arrays) == 1 else answers, strict=True):
                array[done : done + len(images)] = answer
            done += len(images)
            if time.monotonic() - told > PROGRESS_SECONDS or done == len(rows):
                told = time.monotonic()
                rate = done / (told - started)
                log.info("features: %d of %d images, %.1f images/s, ETA %.0f s", done, len(rows), rate,
                         (len(rows) - done) / rate)  # fmt: skip
        for path, array, extractor in zip(paths, arrays, extractors, strict=True):
            array.flush()
            _store(settings, store, path, array, extractor, shard_id, list(rows["sha256"]))
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _empty(path: Path, count: int, network: Any, cut: str) -> "np.memmap[Any, Any]":
    shape = (count, *network.whole.get_layer(cut).output.shape[1:])
    return np.lib.format.open_memmap(path, "w+", np.float32, shape)


def _store(
    settings: Settings,
    store: ObjectStore,
    path: Path,
    array: NDArray[np.float32],
    extractor: Extractor,
    shard_id: str,
    images: list[str],
) -> None:
    """Upload the array, keep it as the local copy, and write the index last: its presence means whole."""
    digest = store.upload(layout.features(extractor.id, shard_id, ARRAY), path)
    index = ShardIndex(
        extractor=asdict(extractor),
        images=images,
        sha256=digest,
        bytes=path.stat().st_size,
        shape=list(array.shape),
        dtype=str(array.dtype),
    )
    check_digest(sha256_of_file(path), digest, str(path))
    path.replace(local_copy(settings, digest))
    store.put_json(layout.features(extractor.id, shard_id, INDEX), index.model_dump(mode="json"))


def read_image(settings: Settings, store: ObjectStore, key: str, digest: str) -> NDArray[np.uint8]:
    """Fetch and decode one image of a snapshot; BadData where its bytes changed since."""
    body = store.read(key)
    if sha256(body) != digest:
        raise BadData(
            "an image changed after it was accepted",
            where=key,
            found=f"sha256 {sha256(body)}, accepted as {digest}",
            do="Batches are immutable: restore the object, or withdraw the image.",
        )
    return decode_grey(body, Limits.of(settings))


def _read_images(
    settings: Settings, store: ObjectStore, rows: pd.DataFrame
) -> Iterator[list[NDArray[np.uint8]]]:
    """Decoded images in row order, a batch at a time; the next batch is fetched meanwhile."""
    wanted = list(zip(rows["key"], rows["sha256"], strict=True))
    with ThreadPoolExecutor(READERS) as readers:

        def submit(start: int) -> Any:
            return [
                readers.submit(read_image, settings, store, *pair) for pair in wanted[start : start + BATCH]
            ]

        pending = submit(0)
        for start in range(0, len(wanted), BATCH):
            following = submit(start + BATCH)
            yield [future.result() for future in pending]
            pending = following
