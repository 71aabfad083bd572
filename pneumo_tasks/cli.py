"""``pneumo``: what a person does outside the Airflow UI."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from pneumo_tasks.commands.terminal.extras import sentence
from pneumo_tasks.commands.terminal.verbosity import VERBOSE, say_every_step, with_verbose
from pneumo_tasks.errors import PneumoError, RetryableError
from pneumo_tasks.local.environment_file import load_local_environment
from pneumo_tasks.local.store_roles import role_of
from pneumo_tasks.secret_values import guard_logging, without_secrets
from pneumo_tasks.shown import plain

LOCAL_ENVIRONMENT = Path(".local/env")

FINAL, RETRYABLE = 1, 75  # of errors; 75 is what sysexits.h calls a temporary failure
EXIT_CODES = {
    0: "It is done.",
    FINAL: "It failed, or a check said no; the same call would fail again.",
    2: "The command line itself was wrong; `batch check`: something would be quarantined.",
    3: "There is no champion.",
    4: "A second person has to agree.",
    5: "A review is due.",
    RETRYABLE: "It failed, and the same call may succeed later, as where the store did not answer.",
}

# What `pneumo --help` says of each command. Its module is imported when the command runs.
COMMANDS = {
    "batch": ("batch:app", "Hand in batches of images, follow, correct and withdraw them."),
    "receive": ("receive:receive", "Receive films straight from an archive, by DICOM, until it is stopped."),
    "patient": ("patient:app", "What a patient may ask for: to be erased."),
    "runs": ("runs:app", "What the runs decided, and why."),
    "models": ("models:app", "The champion and its predecessors."),
    "gate": ("gate:app", "Try other limits on stored runs."),
    "protocol": ("protocol:app", "What has to hold for a promotion, and who decided so."),
    "outcomes": ("outcomes:app", "What became of the studies that the live model judged."),
    "watch": ("outcomes:watch", "Say what the outcomes say of the champion; exit 5 where a review is due."),
    "report": ("report:app", "Reports of runs: RUN, or a command."),
    "recipes": ("recipes:app", "List the recipes, or compare them on one snapshot."),
    "doctor": ("doctor:doctor", "Check settings, store, weights, GPU and Airflow; one line each."),
    "retrain": ("retrain:retrain", "Run all stages of a retraining here and now, without Airflow."),
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
    return with_verbose(get_group(found) if isinstance(found, typer.Typer) else _alone(found))


def _alone(function: Callable[..., None]) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return get_command(app)


app = typer.Typer(
    name="pneumo",
    cls=Commands,
    help="Retrain, review and run the chest X-ray pneumonia classifier. Not a medical device.",
    epilog="Exit codes: " + "; ".join(f"{code} {said}" for code, said in EXIT_CODES.items()),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _pneumo(verbose: Annotated[bool, typer.Option("-v", "--verbose", help=VERBOSE)] = False) -> None:
    """Keeps ``pneumo`` a group, although its commands are not imported yet."""
    if verbose:
        say_every_step()


def _say_why(reason: object) -> None:
    """One line on stderr, without what others could do in it, and without secrets."""
    typer.echo(plain(without_secrets(f"pneumo: {reason}")), err=True)


def main() -> None:
    """Run one command; an error of ours is one line on stderr, not a traceback. EXIT_CODES says how it ends.

    Run from the project's root it picks up what ``make demo`` wrote, with the credential of the role that the
    command works in; the environment wins.
    """
    load_local_environment(LOCAL_ENVIRONMENT, LOCAL_ENVIRONMENT.parent / "roles" / role_of(sys.argv[1:]))
    guard_logging()
    try:
        app()
    except PneumoError as error:
        _say_why(error)
        sys.exit(RETRYABLE if isinstance(error, RetryableError) else FINAL)
    except ModuleNotFoundError as error:
        missing = sentence(error)
        if missing is None:
            raise
        _say_why(missing)
        sys.exit(FINAL)


if __name__ == "__main__":
    main()
