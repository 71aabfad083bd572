"""``pneumo recipes``: the ways of training, and what they are worth on one snapshot."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pneumo_tasks.commands.retrain import parse_params
from pneumo_tasks.commands.terminal.extras import need
from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table
from pneumo_tasks.commands.terminal.verbosity import say_every_step
from pneumo_tasks.settings import Settings

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore

app = typer.Typer(help="List the recipes, or compare them on one snapshot.", invoke_without_command=True)


@app.callback()
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the recipes that the setting ``recipe`` may name."""
    if context.invoked_subcommand is not None:
        return
    from pneumo_tasks.training.recipes import RECIPES

    rows = [
        {
            "recipe": recipe.name,
            "backbone": f"{recipe.backbone} {recipe.image_size}x{recipe.image_size}",
            "epochs": " + ".join(stage.effort for stage in recipe.stages),
            "summary": recipe.summary,
        }
        for recipe in RECIPES.values()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(["recipe", "backbone", "epochs", "summary"], rows)


@app.command()
def compare(
    recipes: Annotated[list[str], typer.Argument(help="Names of recipes.")],
    snapshot: Annotated[str, typer.Option(help="Snapshot; empty: of all that is accepted now.")] = "",
    given: Annotated[list[str] | None, typer.Option("--set", help="For all of them: name=value.")] = None,
    open_test_set: Annotated[
        bool, typer.Option("--open-test-set", help="Also measure on the test set; each recipe is a look.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train recipes on one snapshot and write one table; promotes nothing."""
    from pneumo_tasks.recipe_comparison import compare_recipes

    need("train")
    say_every_step()
    settings, store = open_bucket()
    settings = Settings.load({**parse_params(given or [])}) if given else settings
    table = compare_recipes(settings, store, snapshot or _assemble(settings, store), recipes, open_test_set)
    document = table.model_dump(mode="json")
    if as_json:
        print_json(document)
        return
    print_table(
        [
            "recipe",
            "parameters",
            "seconds",
            *(f"val {name}" for name in _SHOWN),
            *(f"test {n}" for n in _SHOWN),
        ],
        [_row(row) for row in document["recipes"]],
    )


_SHOWN = ("auc", "recall", "precision", "accuracy")


def _assemble(settings: Settings, store: "ObjectStore") -> str:
    from pneumo_tasks import pipeline
    from pneumo_tasks.errors import BadData
    from pneumo_tasks.run import Run

    forced = settings.model_copy(update={"force": True})
    snapshot = pipeline.assemble(Run(forced, store, "", recorded=False)).snapshot
    if snapshot is None:
        raise BadData("no image was accepted yet", do="Upload a batch and run `pneumo retrain` once.")
    return snapshot.snapshot_id


def _row(row: dict[str, Any]) -> dict[str, Any]:
    shown = {"recipe": row["recipe"], "parameters": f"{row['trainable_parameters']:,}"}
    shown["seconds"] = f"{sum(row['seconds'].values()):.0f}"
    for split in ("validation", "test"):
        for name in _SHOWN:
            value = row[split] and row[split][name]
            shown[f"{'val' if split == 'validation' else 'test'} {name}"] = value and f"{value:.4f}"
    return shown
