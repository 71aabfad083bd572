"""Feature shards: one array of features and its index in the bucket, whole or not there at all."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, check_digest, sha256_of_file
from pneumo_tasks.training.features.keys import Extractor
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.mapped_arrays import Indices, MappedArray

log = logging.getLogger(__name__)

INDEX = "index.json"


class ShardIndex(BaseModel):
    """What lies in one shard of features: row i of the array belongs to ``images[i]`` (a sha256).

    ``array`` is the name of the array's object, a digest, so that a shard computed again never
    changes bytes that somebody reads.
    """

    model_config = ConfigDict(frozen=True)

    extractor: dict[str, str | int]
    images: list[str]
    array: str
    sha256: str
    bytes: int
    shape: list[int]
    dtype: str


class Shard:
    """An open shard: ``row_of`` an image's sha256, and the rows themselves, memory-mapped."""

    def __init__(self, index: ShardIndex, array: MappedArray) -> None:
        self.index, self.array = index, array
        self.row_of = {image: row for row, image in enumerate(index.images)}

    def rows(self, images: list[str]) -> Indices:
        """KeyError with the sha256 of an image that is not in this shard."""
        return np.array([self.row_of[image] for image in images], np.int64)

    def read(self, images: list[str]) -> NDArray[np.generic]:
        return self.array.read(self.rows(images))


def open_shard(store: ObjectStore, cache: LocalCache, extractor: Extractor, shard_id: str) -> Shard:
    """The features of a shard from a local copy whose digest was checked.

    Raises ObjectMissing where there are none, CorruptArtefact where the bucket's bytes are not
    those that were written or the index makes no sense.
    """
    key = layout.features(extractor.id, shard_id, INDEX)
    try:
        index = ShardIndex.model_validate(store.read_json(key))
    except ValidationError as error:
        raise CorruptArtefact("not the index of a shard", where=key, found=str(error)[:200]) from None
    if index.extractor != extractor.facts:
        raise CorruptArtefact(
            "the index of another extractor's shard", where=key, found=str(index.extractor)[:200]
        )
    name = layout.features(extractor.id, shard_id, index.array)
    try:
        array = MappedArray(cache.open(store, name, index.sha256, index.bytes))
    except ValueError as error:
        raise CorruptArtefact("not an array of features", where=name, found=str(error)) from None
    if list(array.shape) != index.shape or len(array) != len(index.images) or str(array.dtype) != index.dtype:
        raise CorruptArtefact(
            "an array of another shape", where=name, found=f"{array.shape}, expected {index.shape}"
        )
    return Shard(index, array)


def find_shard(store: ObjectStore, cache: LocalCache, extractor: Extractor, shard_id: str) -> Shard | None:
    """The shard if the bucket has it, every byte as it was written; None where it must be computed."""
    try:
        shard = open_shard(store, cache, extractor, shard_id)
        there = {
            entry.key: entry.size for entry in store.list_objects(layout.features(extractor.id, shard_id))
        }
    except ObjectMissing:
        return None
    except (CorruptArtefact, ValueError) as error:
        log.warning("features of shard %s, %s, are computed again: %s", shard_id, extractor.cut, error)
        return None
    key = layout.features(extractor.id, shard_id, shard.index.array)
    return shard if there.get(key) == shard.index.bytes else None


def write_shard(
    store: ObjectStore,
    cache: LocalCache,
    extractor: Extractor,
    shard_id: str,
    part: Path,
    images: list[str],
) -> None:
    """Upload the array, keep it as the local copy, and write the index last: its presence means whole."""
    digest = sha256_of_file(part)
    array, name = MappedArray(part), f"{digest[:32]}.npy"
    check_digest(store.upload(layout.features(extractor.id, shard_id, name), part), digest, str(part))
    index = ShardIndex(
        extractor=extractor.facts,
        images=images,
        array=name,
        sha256=digest,
        bytes=part.stat().st_size,
        shape=list(array.shape),
        dtype=str(array.dtype),
    )
    cache.make_room(0)  # the part lies in the cache's folder, and is counted there
    cache.keep(part, digest)
    store.put_json(layout.features(extractor.id, shard_id, INDEX), index.model_dump(mode="json"))
