"""The trained weights of a run: those of its head, and those that fine-tuning made of it."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.model.network import Network

HEAD_WEIGHTS, HEAD_HISTORY = "head/weights.npz", "head/history.json"
TUNED_WEIGHTS, TUNED_HISTORY = "fine_tune/weights.npz", "fine_tune/history.json"


def load_head(place: Workplace) -> dict[str, Any]:
    """Put the trained head of the run into the network; returns its history."""
    history: dict[str, Any] = place.store.read_json(layout.run(place.run_id, HEAD_HISTORY))
    load_weights(place.store, layout.run(place.run_id, HEAD_WEIGHTS), place.network)
    return history


@dataclass(frozen=True)
class Histories:
    """What training wrote down about the head and about fine-tuning."""

    head: dict[str, Any]
    tuned: dict[str, Any]


def load_exported(place: Workplace) -> tuple[Workplace, Histories]:
    """The place with the network that the run exports, its weights in it; and how it came to be."""
    key = layout.run(place.run_id, TUNED_HISTORY)
    tuned: dict[str, Any] = place.store.read_json(key)
    if "exports" not in tuned:
        raise ObjectMissing(
            "an older release fine-tuned this run, and did not keep the weights",
            where=key,
            do="Clear fine_tune_block5 and what follows it.",
        )
    histories = Histories(load_head(place), tuned)
    exported = place.answering(tuned["exports"])
    if tuned["exports"] != "head":
        load_weights(place.store, layout.run(place.run_id, TUNED_WEIGHTS), exported.network)
    return exported, histories


def save_weights(store: ObjectStore, key: str, network: Network) -> None:
    """Write the weights of every layer that is trained now, as a file without code."""
    file = io.BytesIO()
    arrays = {
        f"{layer.name}.{number}": array
        for layer in network.whole.layers
        if layer.trainable
        for number, array in enumerate(layer.get_weights())
    }
    np.savez(file, allow_pickle=False, **arrays)
    store.put(key, file.getvalue())


def load_weights(store: ObjectStore, key: str, network: Network) -> None:
    """Put weights that ``save_weights`` wrote into the network's layers of those names."""
    by_layer: dict[str, dict[int, Any]] = {}
    with np.load(io.BytesIO(store.read(key)), allow_pickle=False) as arrays:
        for name in arrays.files:
            layer, _, number = name.rpartition(".")
            by_layer.setdefault(layer, {})[int(number)] = arrays[name]
    for layer, numbered in by_layer.items():
        network.whole.get_layer(layer).set_weights([numbered[n] for n in sorted(numbered)])
