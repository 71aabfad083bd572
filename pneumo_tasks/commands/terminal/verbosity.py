"""What a command says of its work: warnings alone, or with ``-v`` every step, always on stderr."""

import logging
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from pneumo_tasks.secret_values import SecretFilter

VERBOSE = "Say on stderr what is done, step by step."
_PACKAGE = "pneumo_tasks"


def say_every_step() -> None:
    """Say every step of ours from here on."""
    logger = logging.getLogger(_PACKAGE)
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        handler.addFilter(SecretFilter())
        logger.addHandler(handler)
        logger.propagate = False


def with_verbose(command: Any) -> Any:
    """The same command, or group of commands, each with ``-v/--verbose``."""
    command.params.append(_option())
    for inner in getattr(command, "commands", {}).values():
        with_verbose(inner)
    return command


def _option() -> Any:
    """Typer makes its options from signatures alone."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def _command(
        verbose: Annotated[
            bool,
            typer.Option("-v", "--verbose", help=VERBOSE, is_eager=True, expose_value=False, callback=_heard),
        ] = False,
    ) -> None:
        del verbose

    return next(option for option in get_command(app).params if option.name == "verbose")


def _heard(given: bool) -> None:
    if given:
        say_every_step()
