"""``pneumo models``: the champion and its predecessors."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.opening import open_bucket
from pneumo_tasks.commands.output import AsJson, print_json, print_table

app = typer.Typer(help="The champion and its predecessors.", no_args_is_help=True)

NO_CHAMPION = 3

Reason = Annotated[str, typer.Option("--reason", help="Why; it enters the ledger with your name.")]


@app.command()
def champion(as_json: AsJson = False) -> None:
    """Show the champion and its test metrics; exit 3 where there is none."""
    from pneumo_tasks.promotion.registry.promotion import champion_summary

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


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List every registered version."""
    from pneumo_tasks.promotion.registry.promotion import list_versions

    _, store = open_bucket()
    columns = ["version", "run_id", "recipe", "threshold", "snapshot_id", "test_set_id", "sha256"]
    rows = [manifest.model_dump(mode="json", include=set(columns)) for manifest in list_versions(store)]
    if as_json:
        print_json(rows)
    else:
        print_table(columns[:-1], rows)


@app.command()
def history(
    at: Annotated[str | None, typer.Option(help="What was live then: a date, or a moment in UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show every decision about the champion; with --at the one that was live, exit 3 if none was."""
    from pneumo_tasks.promotion.registry.history import champion_at, read_history

    _, store = open_bucket()
    if at is None:
        rows = [chapter.model_dump() for chapter in read_history(store)]
    else:
        live = champion_at(store, at)
        if live is None or live.version is None:
            typer.echo(f"No champion was live at {at}.", err=True)
            raise typer.Exit(NO_CHAMPION)
        rows = [live.model_dump()]
    if as_json:
        print_json(rows if at is None else rows[0])
    else:
        print_table(["seq", "at", "kind", "live", "until", "version", "by", "reason"], rows)


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Check every digest, the ledger's chain, the pointer and the signatures; exit 1 if one fails."""
    from pneumo_tasks.promotion.registry.verification import verify

    findings = [finding.model_dump() for finding in verify(*open_bucket())]
    if as_json:
        print_json(findings)
    else:
        print_table(["subject", "verdict", "detail"], findings)
    raise typer.Exit(1 if any(finding["verdict"] == "fail" for finding in findings) else 0)


@app.command()
def rollback(version: str, reason: Reason, as_json: AsJson = False) -> None:
    """Make a former champion the champion again, after checking every digest of it."""
    from pneumo_tasks.promotion.registry.rollback import ChangeRequest, rollback

    moved = rollback(*open_bucket(), version, ChangeRequest(reason=reason))
    if as_json:
        print_json(moved)
    else:
        typer.echo(f"Champion: {version} (ledger entry {moved['seq']}).")


@app.command("reset-champion")
def reset_champion(reason: Reason, as_json: AsJson = False) -> None:
    """Leave no champion: the next candidate is judged by the floors alone."""
    from pneumo_tasks.promotion.registry.rollback import ChangeRequest, reset_champion

    _, store = open_bucket()
    moved = reset_champion(store, ChangeRequest(reason=reason))
    if as_json:
        print_json(moved)
    else:
        typer.echo(f"There is no champion now (ledger entry {moved['seq']}).")


@app.command("accept-test-set")
def accept_test_set(run_id: str, reason: Reason, as_json: AsJson = False) -> None:
    """Accept that the test set of a run lacks films that judged the champion; the next run may then pass."""
    from pneumo_tasks.promotion.test_set import accept_test_set

    _, store = open_bucket()
    entry = accept_test_set(store, run_id, getpass.getuser(), reason)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        typer.echo(f"The test set of {run_id} is accepted (ledger entry {entry.seq}); start another run.")


@app.command()
def download(
    path: Annotated[Path, typer.Argument(help="Where to put the .keras file.")],
    version: Annotated[str | None, typer.Option(help="A version; without it the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a model, its digest and signature checked."""
    from pneumo_tasks.promotion.registry.promotion import download_model

    settings, store = open_bucket()
    found = download_model(settings, store, path, version)
    manifest = found.manifest
    facts = {"path": str(path), "threshold": manifest.threshold, "signature": found.signature}
    facts |= {"version": manifest.version, "sha256": manifest.sha256}
    if as_json:
        print_json(facts)
    else:
        print_table(["version", "threshold", "sha256", "signature", "path"], [facts])
