"""``pneumo retrain``: a whole run in this process, without Airflow."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from pneumo_tasks.commands.terminal.extras import need
from pneumo_tasks.commands.terminal.output import WAITING, AsJson, print_json, print_table
from pneumo_tasks.commands.terminal.verbosity import say_every_step
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import RUN_PARAMS, Settings


def retrain(
    given: Annotated[list[str] | None, typer.Option("--set", help="A param of the run: name=value.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run all stages of a retraining here and now, without Airflow; exit 0 whatever the decision.

    A candidate that a person has to approve waits, and the exit code is 4: `pneumo models approve RUN`.
    Progress goes to stderr. A run that failed ends with 1, or with 75 where another try may help.
    """
    from pneumo_tasks.commands.in_process import new_run_id, run_here
    from pneumo_tasks.promotion.protocol.governing import check_run
    from pneumo_tasks.promotion.registry.change_request import person
    from pneumo_tasks.promotion.runs.runs import show_run
    from pneumo_tasks.run import Run
    from pneumo_tasks.storage.object_store import ObjectStore

    params = parse_params(given or [])
    settings = Settings.for_run(params)
    store = ObjectStore.connect(settings)
    check_run(settings, store)
    need("validate", "train")
    say_every_step()
    run = Run(settings, store, new_run_id())
    with _stdout_to_stderr():
        error = run_here(run, params, by=person())
    summary = show_run(run.store, run.run_id).model_dump(mode="json")
    if as_json:
        print_json(summary)
    else:
        print_table(["run_id", "state", "decision", "version", "reason"], [summary])
    if error is not None:
        raise error
    if summary["state"] == "waiting":
        raise typer.Exit(WAITING)
    raise typer.Exit(1 if summary["decision"] in (None, "failed") else 0)


def parse_params(given: list[str], allowed: Sequence[str] = RUN_PARAMS) -> dict[str, Any]:
    """Read ``name=value`` pairs; a value is JSON where it reads as JSON, else text."""
    params: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in allowed:
            raise BadConfiguration(f"--set {pair}: not a param here", do=f"One of: {', '.join(allowed)}.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what TensorFlow prints to stderr, so that stdout holds our answer alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
