"""``pneumo models``: the champion and its predecessors."""

import typer

from pneumo_tasks.commands.opening import open_bucket
from pneumo_tasks.commands.output import AsJson, print_json, print_table

app = typer.Typer(help="The champion and its predecessors.", no_args_is_help=True)

NO_CHAMPION = 3


@app.command()
def champion(as_json: AsJson = False) -> None:
    """Show the champion and its test metrics; exit 3 where there is none."""
    from pneumo_tasks.promotion.registry import champion_summary

    _, store = open_bucket()
    summary = champion_summary(store)
    if summary is None:
        typer.echo("No model has been promoted yet.", err=True)
        raise typer.Exit(NO_CHAMPION)
    if as_json:
        print_json(summary)
        return
    print_table(["version", "run_id", "recipe", "threshold", "promoted_at"], [summary])
    print_table(["images", "recall", "precision", "specificity", "accuracy", "auc"], [summary["test"]])
