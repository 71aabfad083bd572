"""The candidate: the model a run proposes, and everything needed to make it again."""

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


class BackboneFacts(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    sha256: str
    random: bool


class OnnxFacts(BaseModel):
    """candidate.onnx, the same graph: ``parity`` is its greatest difference from candidate.keras."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int
    parity: float


class Candidate(BaseModel):
    """runs/<run>/candidate.json, written last: its presence means that candidate.keras is whole.

    ``sha256`` is of the .keras file, ``weights_sha256`` of the numbers in it, whatever the file.
    ``frame`` names its views and their digests. ``precision`` is that of the cached features, and
    ``parity`` the greatest difference between the probabilities from them and from the file.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    onnx: OnnxFacts | None = None
    weights_sha256: str
    recipe: str
    snapshot_id: str
    run_id: str
    backbone: BackboneFacts
    image_size: int
    frame: dict[str, str] = {}
    augmentation: str = "none"
    variants: int = 0
    class_weights: dict[str, float]
    seed: int
    epochs: dict[str, int]
    trainable_parameters: dict[str, int]
    precision: str = "float32"
    parity: float | None = None
    hardware: dict[str, Any]
    packages: dict[str, str]
    synthetic: bool
    created_at: str


def read_candidate(store: ObjectStore, run_id: str) -> Candidate:
    return Candidate.model_validate(store.read_json(layout.run(run_id, "candidate.json")))


def version_of(model_sha256: str, snapshot_id: str, recipe: str) -> str:
    """The version of a model: the same bytes from the same data by the same recipe have the same."""
    return hashlib.sha256(f"{model_sha256}\n{snapshot_id}\n{recipe}".encode()).hexdigest()[:16]


def weights_digest(model: Any) -> str:
    """sha256 over every weight of a Keras model: shape, type and bytes, in the model's order."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
