"""``pneumo batch check``: what validation would say, before anything is sent."""

from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table, say
from pneumo_tasks.commands.terminal.progress import show_progress
from pneumo_tasks.intake.sent.batches import Split
from pneumo_tasks.settings import Settings

Source = Annotated[Path, typer.Argument(exists=True, help="A folder, a .zip or a .tar: see docs/intake.md.")]

Unlabelled = Annotated[
    bool, typer.Option("--unlabelled", help="The labels come later: `pneumo batch label`.")
]


# A path that is not there is a refusal, exit 1: the 2 of a wrong command would say "quarantined".
Checked = Annotated[Path, typer.Argument(help="A folder, a .zip or a .tar: see docs/intake.md.")]


def check(
    source: Checked,
    split: Annotated[Split, typer.Option(help="train, test, or auto: by patient.")] = "auto",
    unlabelled: Unlabelled = False,
    as_json: AsJson = False,
    pixels: Annotated[
        Path | None, typer.Option(help="A folder for the grey films that training would see, as PNG.")
    ] = None,
    datasheet: Annotated[Path | None, typer.Option(help="Where to write the page for the sender.")] = None,
) -> None:
    """Say what validation would say of a folder or archive; needs no bucket and no network.

    Exit 0: all is good. Exit 2: something would be quarantined. Exit 1: the batch would be refused.
    """
    from pneumo_tasks.intake.checking import check_path

    settings = Settings.load()
    with show_progress(f"Checking {source.name}") as show:
        checked = check_path(settings, source, split, pixels, unlabelled, show)
    if datasheet:
        datasheet.write_text(checked.datasheet(settings), "utf-8", "replace")
    answer = checked.answer
    if as_json:
        print_json(answer.model_dump(mode="json"))
        raise typer.Exit(answer.exit_code)
    good = sum(file.rule is None for file in answer.files)
    say(f"{answer.state}: {good} of {len(answer.files)} files are good, of {answer.patients} patients.")
    for sentence in (*answer.reasons, *(f"warning: {warning}" for warning in answer.warnings)):
        say(sentence)
    bad = [file.model_dump() for file in answer.files if file.rule]
    if bad:
        print_table(["file", "rule", "value", "limit"], bad)
    raise typer.Exit(answer.exit_code)
