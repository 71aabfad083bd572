"""``pneumo batch``: hand in batches of images, follow them, correct them, take them back."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.announcing import announce_batch, find_airflow
from pneumo_tasks.commands.checking import Source, Unlabelled, check
from pneumo_tasks.commands.labelling import label
from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table, say
from pneumo_tasks.commands.terminal.progress import show_progress
from pneumo_tasks.intake.sent.batches import Batch, Split

app = typer.Typer(help="Hand in batches of images, follow, correct and withdraw them.", no_args_is_help=True)
app.command()(check)
app.command()(label)


@app.command()
def upload(
    source: Source,
    batch_id: Annotated[str, typer.Option(help="A name that no other batch has.")],
    split: Annotated[Split, typer.Option(help="train, test, or auto: by patient.")] = "auto",
    unlabelled: Unlabelled = False,
    announce: Annotated[bool, typer.Option("--announce", help="Then start a run in Airflow.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a folder or an archive of images as one batch; its manifest is written last."""
    from pneumo_tasks.intake.sent.batches import upload_batch

    settings, store = open_bucket()
    airflow = find_airflow(settings) if announce else None
    with show_progress(f"Uploading {batch_id}") as show:
        batch = upload_batch(
            settings, store, source, batch_id, split, on_progress=show, unlabelled=unlabelled
        )
    if airflow is not None:
        announce_batch(airflow, batch)
    _say_sent(batch, as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all batches and what became of them."""
    from pneumo_tasks.intake.records.batch_list import list_batches

    settings, store = open_bucket()
    rows = [state.model_dump(mode="json") for state in list_batches(store, settings.stale_hours)]
    if as_json:
        print_json(rows)
    else:
        print_table(["batch_id", "state", "split", "images", "accepted", "quarantined"], rows)
        waiting = [row["accepted"] for row in rows if row["state"] == "unlabelled"]
        if waiting:
            say(f"{len(waiting)} wait for labels, with {sum(waiting)} films: `pneumo batch label`.")


@app.command()
def show(batch_id: str, as_json: AsJson = False) -> None:
    """Show one batch: its state, why, and every rejected file with the rule it broke."""
    from pneumo_tasks.intake.records.batch_list import show_batch

    settings, store = open_bucket()
    state = show_batch(store, batch_id, settings.stale_hours)
    if as_json:
        print_json(state)
        return
    print_table(["batch_id", "state", "images", "accepted", "quarantined"], [state])
    for sentence in (*state["reasons"], *(f"warning: {warning}" for warning in state["warnings"])):
        say(sentence)
    print_table(["file", "rule", "value", "limit"], state["rejected"])


@app.command()
def report(
    batch_id: str,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the page.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write the datasheet of a batch, the page for its sender; prints where it is."""
    from pneumo_tasks.intake.records.withdrawals import read_datasheet

    _, store = open_bucket()
    path = output or Path(f"{batch_id}-datasheet.html")
    path.write_bytes(read_datasheet(store, batch_id))
    say(str(path))
    if open_:
        webbrowser.open(path.resolve().as_uri())


@app.command()
def withdraw(
    batch_id: str,
    reason: Annotated[str, typer.Option("--reason", help="Why; it enters the ledger with your name.")],
    as_json: AsJson = False,
) -> None:
    """Take a batch back: its images leave the next snapshot, its objects stay for the record."""
    from pneumo_tasks.intake.records.withdrawals import withdraw_batch
    from pneumo_tasks.promotion.ledger import ledger
    from pneumo_tasks.promotion.ledger.seals import append_sealed
    from pneumo_tasks.promotion.registry.change_request import person

    settings, store = open_bucket()
    withdrawal = withdraw_batch(store, batch_id, person(), reason)
    # A door may use both floors: the intake cannot know the ledger. Repeating the command mends a
    # withdrawal whose entry is missing, since the ledger recognises the attempt.
    entry = append_sealed(
        settings,
        store,
        ledger.NewEntry(
            kind="withdrawn",
            version=None,
            attempt=f"withdrawn-{batch_id}",
            by=withdrawal.by,
            reason=f"batch {batch_id} withdrawn: {withdrawal.reason}",
        ),
    )
    if as_json:
        print_json({**withdrawal.model_dump(mode="json"), "ledger_seq": entry.seq})
    else:
        say(f"{batch_id} is withdrawn (ledger entry {entry.seq}); the next snapshot is without it.")
        if withdrawal.chain:
            say(f"With it, as they replace each other: {', '.join(withdrawal.chain)}.")


@app.command()
def resubmit(source: Source, replaces: Annotated[str, typer.Option(help="The batch that this corrects.")],
             as_json: AsJson = False) -> None:  # fmt: skip
    """Send a corrected batch in place of another, which counts until the correction is accepted."""
    from pneumo_tasks.intake.records.withdrawals import resubmit_batch

    settings, store = open_bucket()
    with show_progress(f"Uploading the correction of {replaces}") as on_progress:
        batch = resubmit_batch(settings, store, source, replaces, on_progress)
    _say_sent(batch, as_json)


def _say_sent(batch: Batch, as_json: bool) -> None:
    if as_json:
        print_json(batch.model_dump(mode="json"))
        return
    what = f"{batch.images} files" if batch.images else "an archive"
    say(f"{batch.batch_id}: {what}, split {batch.split}. The next run validates it.")
