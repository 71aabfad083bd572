"""``pneumo runs``: what the weekly runs decided."""

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table

app = typer.Typer(help="What the runs decided, and why.", no_args_is_help=True)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all runs, the newest first."""
    from pneumo_tasks.promotion.runs.index import list_runs

    _, store = open_bucket()
    rows = [run.model_dump(mode="json") for run in list_runs(store)]
    if as_json:
        print_json(rows)
    else:
        print_table(["run_id", "state", "decision", "version", "reason"], rows)


@app.command()
def show(run_id: str, as_json: AsJson = False) -> None:
    """Show one run: decision, reason, rules and stages."""
    from pneumo_tasks.promotion.runs.runs import show_run, stored_as

    _, store = open_bucket()
    run = show_run(store, stored_as(store, run_id)).model_dump(mode="json")
    if as_json:
        print_json(run)
        return
    print_table(["run_id", "state", "decision", "version", "reason"], [run])
    print_table(["name", "value", "limit", "verdict"], run["rules"])
    print_table(["name", "seconds"], run["stages"])
