import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo_tasks import cli, journal
from pneumo_tasks.evaluation.looks import count_looks
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.recipe_comparison import RecipeComparison, compare_recipes
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.recipes import RECIPES
from tests.evaluation.fixtures import story, tiny_models  # noqa: F401
from tests.evaluation.story import TEST_SET, Story
from tests.snapshots import summarise
from tests.training.conftest import RUN, small, small_recipe, write_snapshot  # noqa: F401

SNAPSHOT = "5nap5h0t"  # of the story, which has a test set


@pytest.fixture
def prepared(story: Story, small: Settings, small_recipe, store: ObjectStore) -> Settings:  # noqa: F811
    small_recipe("small-head", "article-vgg16-head")
    write_snapshot(store, images=20, snapshot_id=SNAPSHOT)
    summarise(store, SNAPSHOT, TEST_SET)
    return small


def test_recipes_are_compared_on_validation_and_the_test_set_only_when_asked(
    prepared: Settings, store: ObjectStore
) -> None:
    table = compare_recipes(prepared, store, SNAPSHOT, ["small-head", "small"])
    assert [row.recipe for row in table.recipes] == ["small-head", "small"]
    assert all(row.test is None and row.validation.recall is not None for row in table.recipes)
    assert table.recipes[1].trainable_parameters > 7_000_000
    assert set(table.recipes[0].seconds) == {"features", "head", "fine_tune", "export"}
    assert table.recipes[1].seconds["features"] < table.recipes[0].seconds["features"]
    assert count_looks(store, TEST_SET) == 0
    kept = store.read_json(layout.comparison(table.comparison_id))
    assert RecipeComparison.model_validate(kept) == table
    journal.record_start(store, RUN, {})
    assert [run.run_id for run in list_runs(store)] == [RUN]

    opened = compare_recipes(prepared, store, SNAPSHOT, ["small-head"], open_test_set=True)
    assert opened.recipes[0].test is not None
    assert opened.recipes[0].test.images == len(pd.read_parquet(_test_rows(store)))
    assert opened.recipes[0].test.threshold == opened.recipes[0].validation.threshold
    assert opened.looks == count_looks(store, TEST_SET) == 1


def _test_rows(store: ObjectStore):
    import io

    return io.BytesIO(store.read(layout.dataset(SNAPSHOT, "test.parquet")))


def test_every_recipe_is_listed(environment: None) -> None:
    shown = CliRunner().invoke(cli.app, ["recipes", "--json"])
    assert shown.exit_code == 0, shown.output
    assert [row["recipe"] for row in json.loads(shown.stdout)] == list(RECIPES)


def test_a_comparison_of_an_unknown_recipe_starts_nothing(environment: None, store: ObjectStore) -> None:
    shown = CliRunner().invoke(cli.app, ["recipes", "compare", "vgg19", "--snapshot", "s"])
    assert "vgg19" in str(shown.exception)
    assert list(store.list_objects("runs/")) == []
