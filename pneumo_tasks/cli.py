"""``pneumo``: what a person does outside the Airflow UI."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from dotenv import load_dotenv
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from pneumo_tasks.commands.extras import sentence
from pneumo_tasks.errors import PneumoError

LOCAL_ENVIRONMENT = Path(".local/env")

# What `pneumo --help` says of each command. Its module is imported when the command runs.
COMMANDS = {
    "batch": ("batch:app", "Hand in batches of images, follow, correct and withdraw them."),
    "runs": ("runs:app", "What the runs decided, and why."),
    "models": ("models:app", "The champion and its predecessors."),
    "gate": ("gate:app", "Try other limits on stored runs."),
    "protocol": (
        "protocol:app",
        "What shall hold for a promotion, and who decided so; not yet enforced.",
    ),
    "outcomes": ("outcomes:app", "What became of the studies that the live model judged."),
    "watch": ("outcomes:watch", "Say what the outcomes say of the champion; exit 5 where a review is due."),
    "report": ("report:app", "Reports of runs: RUN, or a command."),
    "recipes": ("recipes:app", "List the recipes, or compare them on one snapshot."),
    "doctor": ("doctor:doctor", "Check settings, store, weights, GPU and Airflow; exit 1 if any fails."),
    "retrain": ("retrain:retrain", "Run the retraining DAG here and now, without a scheduler."),
    "predict": ("predict:predict", "Print the probability of pneumonia for each image. Not for diagnosis."),
    "prune": ("prune:prune", "Delete artefacts and checkpoints of old runs."),
    "dags-folder": ("dags:dags_folder", "Print the folder that Airflow finds the DAGs in."),
}


class Commands(TyperGroup):
    """Lists the commands without importing them."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=text) for name, (_, text) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, rest


def load(name: str) -> Any:
    """The command itself, its module imported."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(f"pneumo_tasks.commands.{module}"), attribute)
    return get_group(found) if isinstance(found, typer.Typer) else _alone(found)


def _alone(function: Callable[..., None]) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return get_command(app)


app = typer.Typer(
    name="pneumo",
    cls=Commands,
    help="Retrain, review and run the chest X-ray pneumonia classifier. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _pneumo() -> None:
    """Keeps ``pneumo`` a group, although its commands are not imported yet."""


def main() -> None:
    """Run one command; an error of ours is one line on stderr and exit code 1, not a traceback.

    Run from the project's root it picks up what ``make demo`` wrote; the environment wins.
    """
    load_dotenv(LOCAL_ENVIRONMENT)
    try:
        app()
    except PneumoError as error:
        typer.echo(f"pneumo: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        missing = sentence(error)
        if missing is None:
            raise
        typer.echo(f"pneumo: {missing}", err=True)
        sys.exit(1)
