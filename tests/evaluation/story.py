"""A small bucket in the middle of its life: images, a snapshot, and runs with real tiny artefacts."""

import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pneumo_tasks import journal
from pneumo_tasks.evaluation.serving import ServingCheck, remember
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.kept_buckets import contents
from tests.many_writes import put_many

SNAPSHOT, TEST_SET = "5nap5h0t", "7e57"
IMAGES, PATIENTS = 48, 24
SERVED = {
    "loads": True,
    "odd_films": 7,
    "odd_films_answered": 7,
    "parity": 0.0,
    "load_seconds": 0.2,
    "latency_seconds": 0.05,
    "memory_mb": 600.0,
}


def save_model(path: Path, top: float, bottom: float, bias: float) -> None:
    """Save a model with the contract's input and output that weighs the film's two halves."""
    import keras

    film = keras.Input((None, None, 1), dtype="uint8")
    halves = keras.layers.Resizing(2, 1)(keras.layers.Rescaling(1 / 255)(film))
    dense = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Model(film, dense(keras.layers.Flatten()(halves)))
    dense.set_weights([np.array([[top], [bottom]]), np.array([bias])])
    model.save(path)


def film(top: float, bottom: float, height: int, width: int) -> bytes:
    pixels = np.empty((height, width), np.uint8)
    pixels[: height // 2], pixels[height // 2 :] = round(255 * top), round(255 * bottom)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@dataclass
class Story:
    """``good`` sees the half that tells the classes apart, ``weak`` mostly the half that does not."""

    store: ObjectStore
    models: dict[str, bytes]
    rows: pd.DataFrame = field(init=False)
    made: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self._images()
        for body in self.models.values():
            # A check in a fresh process takes 15 s; test_serving.py makes it, the others find it remembered.
            remember(sha256(body), ServingCheck.model_validate(SERVED))
        self._snapshot(self.rows)
        self.made = contents(self.store)

    @property
    def is_untouched(self) -> bool:
        """Whether the bucket holds the story and nothing else."""
        return self.made == contents(self.store)

    def run(self, run_id: str, model: str = "good", **facts: object) -> str:
        """Leave in the bucket what training leaves: artefact, validation scores, histories, candidate."""
        store, body = self.store, self.models[model]
        journal.record_start(store, run_id, {"settings": {}})
        store.put(layout.run(run_id, "candidate.keras"), body)
        store.put(layout.run(run_id, "held_out_scores.parquet"), _held_out_scores())
        for stage in ("head", "fine_tune"):
            epochs = [{"epoch": 0, "val_loss": 1.4, "seconds": 0.0}]
            epochs += [{"epoch": n, "loss": 1 / n, "val_loss": 1.1 / n, "seconds": 1.0} for n in (1, 2)]
            history = {"epochs": epochs, "best_epoch": 2, "selection": "the lowest validation loss"}
            store.put_json(layout.run(run_id, f"{stage}/history.json"), history)
        balance = {"counts": {"NORMAL": 60, "PNEUMONIA": 140}, "imbalance_ratio": 2.33, "policy": "none"}
        weights = {"NORMAL": 1.0, "PNEUMONIA": 1.0}
        store.put_json(layout.run(run_id, "class_balance.json"), balance | {"weights": weights})
        store.put_json(layout.run(run_id, "candidate.json"), _candidate(run_id, body, weights) | facts)
        return run_id

    def _images(self) -> pd.DataFrame:
        """Half normals, half pneumonias, two films a patient; the top half is what tells them apart."""
        random, rows, bodies = np.random.default_rng(7), [], {}
        for number in range(IMAGES):
            positive = number % 2 == 1
            patient = f"{'P' if positive else 'N'}:{number // 4}"
            top = (0.7 if positive else 0.3) + random.uniform(-0.15, 0.15)
            # Four sizes, each of both classes: a model is asked once for each size.
            height, width = 70 + number // 2 % 2, 80 + number // 4 % 2
            body = film(top, random.uniform(0.1, 0.9), height, width)
            key = layout.incoming("monday", f"{number}.png")
            bodies[key] = body
            rows.append(
                {
                    "key": key,
                    "file": f"{number}.png",
                    "batch_id": "monday",
                    "label": "PNEUMONIA" if positive else "NORMAL",
                    "patient": patient,
                    "family": patient[0],
                    "split": "test",
                    "sha256": sha256(body),
                    "width": width,
                    "height": height,
                    "grey_mean": 255 * top,
                    "synthetic": True,
                }
            )
        put_many(self.store, bodies)
        return pd.DataFrame(rows)

    def _snapshot(self, rows: pd.DataFrame) -> None:
        self.store.put(layout.dataset(SNAPSHOT, "test.parquet"), rows.to_parquet(index=False))
        learned = rows.assign(patient="T:" + rows["file"], sha256=rows["sha256"].str[::-1], fold=1)
        self.store.put(layout.dataset(SNAPSHOT, "training.parquet"), learned.to_parquet(index=False))
        summary = {
            "snapshot_id": SNAPSHOT,
            "test_set_id": TEST_SET,
            "created_at": _made_at(),
            "counts": {
                "train": {"NORMAL": 60, "PNEUMONIA": 140},
                "validation": {"NORMAL": 20, "PNEUMONIA": 40},
                "test": {"NORMAL": IMAGES // 2, "PNEUMONIA": IMAGES // 2},
            },
            "patients": {"train": 150, "validation": 40, "test": PATIENTS},
            "families": {"test": {"N": IMAGES // 2, "P": IMAGES // 2}},
            "batches": [{"batch_id": "monday", "images": 310, "accepted": 308, "quarantined": 2}],
            "received": 310,
            "quarantined": 2,
            "excluded": [{"file": "a.png", "batch_id": "monday", "reason": "same pixels as b.png"}],
            "synthetic": True,
            "checks": [{"name": "patients in two splits", "value": 0, "limit": 0, "verdict": "pass"}],
        }
        self.store.put_json(layout.dataset(SNAPSHOT, "summary.json"), summary)


@cache
def _made_at() -> str:
    return journal.now()


def _held_out_scores() -> bytes:
    random = np.random.default_rng(1)
    positive = np.arange(60) % 3 != 0
    table = pd.DataFrame(
        {
            "sha256": [sha256(b"%d" % n) for n in range(60)],
            "patient": [f"V:{n // 2}" for n in range(60)],
            "label": np.where(positive, "PNEUMONIA", "NORMAL"),
            "fold": 0,
            "probability": np.where(positive, 0.75, 0.25) + random.uniform(-0.2, 0.2, 60),
        }
    )
    return table.to_parquet(index=False)


def _candidate(run_id: str, body: bytes, weights: dict[str, float]) -> dict[str, object]:
    return {
        "version": f"tiny-{sha256(body)[:8]}-{layout.run_key(run_id)[-20:]}",
        "sha256": sha256(body),
        "weights_sha256": sha256(body),
        "recipe": "vgg16-block5",
        "snapshot_id": SNAPSHOT,
        "run_id": run_id,
        "backbone": {"name": "tiny", "source": "random", "sha256": "0" * 64, "random": True},
        "image_size": 150,
        "class_weights": weights,
        "seed": 7,
        "epochs": {"head": 3, "fine_tune": 3},
        "trainable_parameters": {"head": 3, "fine_tune": 3},
        "hardware": {"cores": 2, "gpu": None},
        "packages": {"tensorflow": "2.21", "keras": "3.15", "numpy": "2.4"},
        "synthetic": True,
        "created_at": journal.now(),
    }
