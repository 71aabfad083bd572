"""``pneumo``: what a person does outside the Airflow UI."""

import sys
from pathlib import Path

import typer
from dotenv import load_dotenv

from pneumo_tasks.commands import (
    batch,
    doctor,
    gate,
    models,
    outcomes,
    predict,
    protocol,
    prune,
    recipes,
    report,
    retrain,
    runs,
)
from pneumo_tasks.errors import PneumoError

LOCAL_ENVIRONMENT = Path(".local/env")

app = typer.Typer(
    name="pneumo",
    help="Retrain, review and run the chest X-ray pneumonia classifier. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(batch.app, name="batch")
app.add_typer(runs.app, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(gate.app, name="gate")
app.add_typer(protocol.app, name="protocol")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(report.app, name="report")
app.add_typer(recipes.app, name="recipes")
app.command()(doctor.doctor)
app.command()(retrain.retrain)
app.command()(predict.predict)
app.command()(outcomes.watch)
app.command()(prune.prune)


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
