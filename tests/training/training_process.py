"""A worker's process that fine-tunes a small network and may be killed: its run id, its cache folder."""

import dataclasses
import sys
from pathlib import Path

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training import recipes
from pneumo_tasks.training.recipe import Recipe

SIDE, SNAPSHOT = 48, "snapshot-1"


def slow_recipe() -> Recipe:
    """Batches of one film: epochs of about a second, so that a kill falls into the middle of one."""
    base = recipes.RECIPES["article-vgg16-block5-conv3"]
    assert base.fine_tuning is not None
    fine_tuning = dataclasses.replace(base.fine_tuning, epochs=4, batch=1)
    return dataclasses.replace(base, name="slow", image_size=SIDE, fine_tuning=fine_tuning)


def slow_settings(folder: Path) -> Settings:
    recipes.RECIPES["slow"] = slow_recipe()
    given = {"recipe": "slow", "cache_folder": folder, "head_epochs": 1, "precision": "float32"}
    return Settings.load({**given, "export_onnx": False})


def main() -> None:
    from pneumo_tasks.training.fitting.fine_tuning import fine_tune

    settings = slow_settings(Path(sys.argv[2]))
    fine_tune(settings, ObjectStore.connect(settings), sys.argv[1], SNAPSHOT)


if __name__ == "__main__":
    main()
