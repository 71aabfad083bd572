"""``pneumo retrain``: the weekly DAG in this process, without a scheduler."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pneumo_tasks.commands.dags import find_dags
from pneumo_tasks.commands.extras import need
from pneumo_tasks.commands.opening import open_bucket
from pneumo_tasks.commands.output import AsJson, print_json, print_table
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import RUN_PARAMS, Settings


def retrain(
    given: Annotated[list[str] | None, typer.Option("--set", help="A param of the run: name=value.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the retraining DAG here and now; exit 0 whatever the decision, 1 where it failed.

    Airflow keeps this run in a small database of its own, away from a running scheduler.
    """
    from pneumo_tasks.promotion.runs.runs import show_run

    params = parse_params(given or [])
    if Settings.for_run(params).require_approval:
        raise BadConfiguration(
            "this run asks for a person's approval, and here is nobody to ask",
            do="Trigger the DAG in the Airflow UI, or add --set require_approval=false.",
        )
    need("airflow", "validate", "train")
    _, store = open_bucket()
    with _stdout_to_stderr():
        run_id = _run_dag(params)
    summary = show_run(store, run_id).model_dump(mode="json")
    if as_json:
        print_json(summary)
    else:
        print_table(["run_id", "state", "decision", "version", "reason"], [summary])
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


def _run_dag(params: dict[str, Any]) -> str:
    """Run ``pneumonia_retraining`` with Airflow's own test runner; returns the run id."""
    home = Path.cwd() / ".local" / "airflow-in-process"
    home.mkdir(parents=True, exist_ok=True)
    folder = find_dags()
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        del os.environ[name]  # they describe the running stack, whose database is not ours
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(folder),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        PNEUMO_LATE_HOURS="0",  # nobody watches deadlines in this process
        AIRFLOW__LOGGING__LOGGING_LEVEL=os.environ.get("PNEUMO_LOG_LEVEL", "INFO"),
    )
    os.environ.pop("PNEUMO_LOG_LEVEL", None)
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils import db

    db.initdb()
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    if bag.import_errors:
        raise BadConfiguration("the DAG cannot be loaded", where=str(folder), found=str(bag.import_errors))
    return str(bag.dags["pneumonia_retraining"].test(run_conf=params).run_id)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what Airflow and TensorFlow print to stderr, so that stdout holds our answer alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
