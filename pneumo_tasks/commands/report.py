"""``pneumo report``: the report of a run, and two runs side by side."""

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table, say


class ShowsByDefault(TyperGroup):
    """``pneumo report RUN`` means ``pneumo report show RUN``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ShowsByDefault, help="Reports of runs: RUN, or a command.", no_args_is_help=True)


@app.command()
def show(
    run_id: str,
    output: Annotated[Path | None, typer.Option(help="Where to put the page.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    renew: Annotated[bool, typer.Option(help="Write it again from what the bucket holds now.")] = False,
) -> None:
    """Fetch the report of a run as one HTML file."""
    from pneumo_tasks import pipeline
    from pneumo_tasks.promotion.runs.runs import read_facts, stored_as
    from pneumo_tasks.run import Run
    from pneumo_tasks.storage import layout

    settings, store = open_bucket()
    run_id = stored_as(store, run_id)
    if renew:
        read_facts(store, run_id)  # a typing error makes no run
        pipeline.report(Run(settings, store, run_id, recorded=False))
    path = output or Path(f"report-{layout.run_key(run_id)}.html")
    path.write_bytes(store.read(layout.run(run_id, "report.html")))
    say(path)
    if open_:
        webbrowser.open(path.resolve().as_uri())


@app.command()
def schema() -> None:
    """Print the JSON schema of report.json."""
    from pneumo_tasks.promotion.report.document import Report

    print_json(Report.model_json_schema())


@app.command()
def compare(run_id: str, other: str, as_json: AsJson = False) -> None:
    """Put the figures of two runs side by side."""
    from pneumo_tasks.promotion.report.comparison import compare_runs
    from pneumo_tasks.promotion.runs.runs import stored_as

    _, store = open_bucket()
    rows = compare_runs(store, stored_as(store, run_id), stored_as(store, other))
    if as_json:
        print_json(rows)
    else:
        print_table(["name", "first", "second", "change"], rows)
