"""``pneumo batch label``: the labels of films that came without them."""

from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, say

Labels = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="CSV: file, series or study, label, date, source.")
]


def label(batch_id: str, labels: Labels, as_json: AsJson = False) -> None:
    """Bring the labels of an unlabelled batch; the labelled films become a batch of their own."""
    from pneumo_tasks.intake.labelling import label_batch

    settings, store = open_bucket()
    batch = label_batch(settings, store, batch_id, labels.read_bytes())
    if as_json:
        print_json(batch.model_dump(mode="json"))
    else:
        say(f"{batch.batch_id}: the films of {batch_id} with their labels. The next run validates it.")
