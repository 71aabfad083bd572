"""Recipes side by side: several trained on one snapshot, one table, chosen by validation."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import pipeline
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.dataset.summary import snapshot_summary
from pneumo_tasks.evaluation.compared_recipe import ComparedRecipe, describe_recipe, open_test_set_for
from pneumo_tasks.evaluation.looks import count_looks
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.recipes import find_recipe

log = logging.getLogger(__name__)


class RecipeComparison(BaseModel):
    """comparisons/<id>.json; ``looks`` counts the candidates that this test set has judged so far."""

    model_config = ConfigDict(frozen=True)

    comparison_id: str
    snapshot_id: str
    test_set_id: str
    looks: int | None
    recipes: list[ComparedRecipe]


def compare_recipes(
    settings: Settings, store: ObjectStore, snapshot_id: str, names: list[str], open_test_set: bool = False
) -> RecipeComparison:
    """Train each recipe on the snapshot, with its features cached as in any run, and write the table.

    Validation figures are at the operating point that the settings choose on validation. With
    ``open_test_set`` each candidate is measured on the locked test set too, and each is a look.
    """
    for name in names:
        find_recipe(name)
    summary = snapshot_summary(store, snapshot_id)
    comparison_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    rows = []
    for number, name in enumerate(names, 1):
        log.info("recipe %d of %d: %s", number, len(names), name)
        chosen = settings.model_copy(update={"recipe": name})
        run = Run(chosen, store, layout.compared_run(comparison_id, name), recorded=False)
        seconds = train_candidate(run, snapshot_id)
        rows.append(describe_recipe(chosen, store, run.run_id, seconds))
    if open_test_set:
        rows = [open_test_set_for(settings, store, snapshot_id, summary.test_set_id, row) for row in rows]
    table = RecipeComparison(
        comparison_id=comparison_id,
        snapshot_id=snapshot_id,
        test_set_id=summary.test_set_id,
        looks=count_looks(store, summary.test_set_id) if open_test_set else None,
        recipes=rows,
    )
    store.put_json(layout.comparison(comparison_id), table.model_dump(mode="json"))
    return table


def train_candidate(run: Run, snapshot_id: str) -> dict[str, float]:
    """The stages from the class balance to the exported candidate, one after the other; their seconds."""
    pipeline.balance(run, snapshot_id)
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.monotonic()
        work()
        seconds[name] = round(time.monotonic() - started, 2)
        log.info("%s: %s took %.1f s", run.settings.recipe, name, seconds[name])

    shards = list(dict.fromkeys(training_rows(run.store, snapshot_id)["shard"]))
    timed("features", lambda: [pipeline.extract(run, snapshot_id, shard) for shard in shards])
    pipeline.score_unseen(run, snapshot_id)
    timed("head", lambda: pipeline.train(run, snapshot_id))
    timed("fine_tune", lambda: pipeline.tune(run, snapshot_id))
    timed("export", lambda: pipeline.export(run, snapshot_id))
    return seconds
