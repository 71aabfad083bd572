"""Checkpoints: after each epoch, everything that the next one depends on, in the bucket."""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json
from pneumo_tasks.training.features.examples import Examples
from pneumo_tasks.training.recipe import Stage

log = logging.getLogger(__name__)

Arrays = list[NDArray[Any]]

KEPT = 2  # the newest, and the one before it should the newest be damaged
_GROUPS = ("variables", "optimizer", "best")


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch: ``variables`` are weights and generators' states, layer by layer.

    ``records`` is the history so far and ``best`` the weights of ``best_epoch``.
    """

    records: list[dict[str, float]]
    best_epoch: int
    variables: Arrays
    optimizer: Arrays
    best: Arrays

    @property
    def epoch(self) -> int:
        return int(self.records[-1]["epoch"])


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one stage of a run; those of another ``fingerprint`` are not its own."""

    store: ObjectStore
    run_id: str
    stage: str
    fingerprint: str

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one object for the epoch, then delete what is older than the one before it.

        Where the bucket keeps everything, so does a run: `pneumo prune` is not the only one to be refused.
        """
        self.store.put(self._key(checkpoint.epoch), _packed(checkpoint, self.fingerprint))
        for key in self._keys()[:-KEPT]:
            try:
                self.store.delete(key)
            except BadConfiguration as error:
                log.info("old checkpoints stay in the bucket: %s", error)
                return

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and was written by this very training; None without."""
        for key in reversed(self._keys()):
            try:
                checkpoint, fingerprint = _unpacked(self.store.read(key))
            except (CorruptArtefact, ValueError, KeyError, zipfile.BadZipFile) as error:
                log.warning("checkpoint %s is damaged, the one before it is tried: %s", key, error)
                continue
            if fingerprint == self.fingerprint:
                return checkpoint
            log.warning("checkpoint %s is of another training (data, recipe or seed differ): not used", key)
        return None

    def _key(self, epoch: int) -> str:
        return layout.run(self.run_id, f"{self.stage}/checkpoints/{epoch:04d}.npz")

    def _keys(self) -> list[str]:
        folder = layout.run(self.run_id, f"{self.stage}/checkpoints/")
        return [entry.key for entry in self.store.list_objects(folder)]


def fingerprint_of(
    model: Any, stage: Stage, train: Examples, validation: Examples, seed: int, precision: str
) -> str:
    """A digest of all that decides a training: start, schedule, examples in their order, seed, precision."""
    digest = hashlib.sha256(canonical_json({"stage": asdict(stage), "seed": seed, "precision": precision}))
    for array in model.get_weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    for examples in (train, validation):
        digest.update("\n".join(examples.image).encode())
        for values in (examples.variant, examples.labels, examples.weights):
            digest.update(values.tobytes())
    return digest.hexdigest()


def _packed(checkpoint: Checkpoint, fingerprint: str) -> bytes:
    facts = {
        "fingerprint": fingerprint,
        "records": checkpoint.records,
        "best_epoch": checkpoint.best_epoch,
    }
    arrays: dict[str, NDArray[Any]] = {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    for group in _GROUPS:
        members: Sequence[NDArray[Any]] = getattr(checkpoint, group)
        arrays |= {f"{group}.{number}": array for number, array in enumerate(members)}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _unpacked(body: bytes) -> tuple[Checkpoint, str]:
    with np.load(io.BytesIO(body), allow_pickle=False) as file:
        facts = json.loads(file["facts"].tobytes())
        groups: dict[str, Arrays] = {group: [] for group in _GROUPS}
        for group in _GROUPS:
            count = sum(name.startswith(f"{group}.") for name in file.files)
            groups[group] = [file[f"{group}.{number}"] for number in range(count)]
    return Checkpoint(facts["records"], facts["best_epoch"], **groups), facts["fingerprint"]
