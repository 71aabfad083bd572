"""Extractors: what identifies a cached feature, and where its copies are."""

import hashlib
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks import layout
from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.object_store import ObjectStore, canonical_json, check_digest, sha256_of_file
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.backbones import BackboneWeights
from pneumo_tasks.training.recipes import Recipe

log = logging.getLogger(__name__)

ARRAY = "features.npy"
INDEX = "index.json"


@dataclass(frozen=True)
class Extractor:
    """Everything that the features of an image depend on, besides the image."""

    backbone: str
    weights_sha256: str
    image_size: int
    preprocessing: str
    cut: str
    dtype: str

    @property
    def id(self) -> str:
        return f"{self.cut}-{hashlib.sha256(canonical_json(asdict(self))).hexdigest()[:16]}"


class ShardIndex(BaseModel):
    """What lies in one shard of features: row i of the array belongs to ``images[i]`` (a sha256)."""

    model_config = ConfigDict(frozen=True)

    extractor: dict[str, str | int]
    images: list[str]
    sha256: str
    bytes: int
    shape: list[int]
    dtype: str


def extractor_of(recipe: Recipe, weights: BackboneWeights, cut: str, dtype: str = "float32") -> Extractor:
    return Extractor(
        weights.name, weights.sha256, recipe.image_size, "squash, grey to 3 channels", cut, dtype
    )


def read_index(store: ObjectStore, extractor: Extractor, shard_id: str) -> ShardIndex:
    """What the bucket says about a shard; ObjectMissing, or CorruptArtefact if it makes no sense."""
    key = layout.features(extractor.id, shard_id, INDEX)
    try:
        return ShardIndex.model_validate(store.read_json(key))
    except ValidationError as error:
        raise CorruptArtefact("not the index of a shard", where=key, found=str(error)[:200]) from None


def open_array(
    settings: Settings, store: ObjectStore, extractor: Extractor, shard_id: str, index: ShardIndex
) -> NDArray[np.float32]:
    """The features of a shard, memory-mapped from a local copy whose digest was checked.

    Raises CorruptArtefact where the bucket's bytes are not those that were written.
    """
    path = local_copy(settings, index.sha256)
    if not _is_whole(path, index):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        store.download(layout.features(extractor.id, shard_id, ARRAY), path, index.sha256)
    array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    if list(array.shape) != index.shape or len(array) != len(index.images) or str(array.dtype) != index.dtype:
        raise CorruptArtefact(
            "an array of another shape", where=shard_id, found=f"{array.shape}, expected {index.shape}"
        )
    return array


def local_copy(settings: Settings, digest: str) -> Path:
    return settings.cache_root / "features" / f"{digest}.npy"


def _is_whole(path: Path, index: ShardIndex) -> bool:
    if not path.is_file():
        return False
    try:
        check_digest(sha256_of_file(path), index.sha256, str(path))
    except CorruptArtefact as error:
        log.warning("%s; fetched again", error)
        path.unlink(missing_ok=True)
        return False
    return True
