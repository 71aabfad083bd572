"""A small snapshot in a real bucket, and a recipe small enough for tests."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo_tasks.dataset.balance import balance
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training import recipes
from pneumo_tasks.training.recipe import Recipe
from tests.snapshots import summarise

RUN, SNAPSHOT = "run-1", "snapshot-1"
SIDE = 48


def drawn_image(label: str, number: int) -> bytes:
    """A PNG of 70x66 or 64x64 pixels: noise, and for PNEUMONIA a bright blob somewhere below."""
    rng = np.random.default_rng([number, LABELS.index(label)])
    shape = (64, 64) if number % 4 else (70, 66)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = rng.normal(100, 12, shape)
    if label == LABELS[1]:
        centre_y, centre_x = rng.integers(20, 44, 2)
        pixels += 90 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / 120)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_snapshot(
    store: ObjectStore, images: int = 40, shards: int = 2, snapshot_id: str = SNAPSHOT, run_id: str = RUN
) -> pd.DataFrame:
    """Upload images and write them down as a snapshot: every fifth is for validation."""
    rows = []
    for number in range(images):
        label = LABELS[number % 2]
        body = drawn_image(label, number)
        key = f"incoming/b1/{label}-{number}.png"
        store.put(key, body)
        rows.append(
            {
                "key": key,
                "sha256": sha256(body),
                "label": label,
                "patient": f"p:{number}",
                "split": "validation" if number % 5 < 2 else "train",
                "fold": number % 5,
                "shard": f"shard{number % shards}",
                "synthetic": True,
            }
        )
    table = pd.DataFrame(rows)
    store.put(layout.dataset(snapshot_id, "training.parquet"), table.to_parquet(index=False))
    summarise(store, snapshot_id)
    counts = table[table["split"] == "train"]["label"].value_counts().to_dict()
    store.put_json(layout.run(run_id, "class_balance.json"), balance(counts, "none").model_dump(mode="json"))
    return table


@pytest.fixture
def small_recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Register a recipe at 48 pixels under a name of its own; keyword arguments change its fields."""

    def register(name: str = "small", base: str = "vgg16-block5", **changes: object) -> Recipe:
        recipe = dataclasses.replace(recipes.RECIPES[base], name=name, image_size=SIDE, **changes)  # type: ignore[arg-type]
        monkeypatch.setitem(recipes.RECIPES, name, recipe)
        return recipe

    return register


@pytest.fixture
def small(
    environment: None, tmp_path_factory: pytest.TempPathFactory, small_recipe: Callable[..., Recipe]
) -> Settings:
    """Settings of the small recipe: two epochs each, a cache of its own."""
    small_recipe()
    folder = tmp_path_factory.mktemp("cache")
    return Settings.load(
        {
            "recipe": "small",
            "cache_folder": folder,
            "head_epochs": 2,
            "fine_tune_epochs": 1,
            "precision": "float32",
            "export_onnx": False,
        }
    )
