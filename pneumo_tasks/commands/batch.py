"""``pneumo batch``: upload and follow batches of images."""

from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.opening import open_bucket
from pneumo_tasks.commands.output import AsJson, print_json, print_table
from pneumo_tasks.intake.batches import Split

app = typer.Typer(help="Upload and follow batches of images.", no_args_is_help=True)


@app.command()
def upload(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Images, see docs/intake.md.")],
    batch_id: Annotated[str, typer.Option(help="A name that no other batch has.")],
    split: Annotated[Split, typer.Option(help="train, test, or auto: by patient.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Upload a folder of images as one batch; its manifest is written last."""
    from pneumo_tasks.intake.batches import upload_batch

    settings, store = open_bucket()
    with typer.progressbar(
        length=100, label=f"Uploading {batch_id}", file=typer.get_text_stream("stderr")
    ) as bar:

        def show(done: int, total: int) -> None:
            bar.update(int(100 * done / max(total, 1)) - bar.pos)

        batch = upload_batch(settings, store, folder, batch_id, split, on_progress=show)
    if as_json:
        print_json(batch.model_dump(mode="json"))
    else:
        typer.echo(
            f"{batch.batch_id}: {batch.images} images, split {batch.split}. The next run validates them."
        )


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all batches and what became of them."""
    from pneumo_tasks.intake.batches import list_batches

    _, store = open_bucket()
    rows = [state.model_dump(mode="json") for state in list_batches(store)]
    if as_json:
        print_json(rows)
    else:
        print_table(["batch_id", "state", "split", "images", "accepted", "quarantined"], rows)


@app.command()
def show(batch_id: str, as_json: AsJson = False) -> None:
    """Show one batch: its state, its counts, and every rejected file with the rule it broke."""
    from pneumo_tasks.intake.batches import show_batch

    _, store = open_bucket()
    state = show_batch(store, batch_id)
    if as_json:
        print_json(state)
        return
    print_table(["batch_id", "state", "images", "accepted", "quarantined"], [state])
    print_table(["file", "rule", "value", "limit"], state["rejected"])
