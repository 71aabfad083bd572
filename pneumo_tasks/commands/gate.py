"""``pneumo gate``: try other limits on a stored run."""

from typing import Annotated

import typer

from pneumo_tasks.commands.retrain import parse_params
from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table
from pneumo_tasks.settings import Settings

app = typer.Typer(help="Try other limits on stored runs.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``replay`` a command of its own while it is the only one."""


@app.command()
def replay(
    run_id: str,
    given: Annotated[list[str] | None, typer.Option("--set", help="A limit: name=value.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide a stored run again with other limits; trains nothing and writes nothing."""
    from pneumo_tasks.promotion.deciding.decision import replay
    from pneumo_tasks.promotion.deciding.gate import LIMITS
    from pneumo_tasks.promotion.protocol.governing import kept_limits
    from pneumo_tasks.promotion.runs.runs import run_params, stored_as

    overrides = parse_params(given or [], LIMITS)
    _, store = open_bucket()
    run_id = stored_as(store, run_id)
    kept = {name: value for name, value in kept_limits(store, run_id).items() if name in LIMITS}
    stated = {name: value for name, value in run_params(store, run_id, LIMITS).items() if value is not None}
    settings = Settings.load({**kept, **stated, **overrides})
    decision = replay(settings, store, run_id).model_dump(mode="json")
    if as_json:
        print_json(decision)
        return
    print_table(["run_id", "decision", "reason"], [decision])
    print_table(["name", "value", "limit", "margin", "verdict"], decision["rules"])
