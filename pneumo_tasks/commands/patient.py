"""``pneumo patient``: what a patient may ask for."""

from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, say

app = typer.Typer(help="What a patient may ask for: to be erased.", no_args_is_help=True)


@app.callback()
def _patient() -> None:
    """Keeps ``patient`` a group with one command."""


@app.command()
def erase(
    key: Annotated[str, typer.Argument(help="FAMILY:ID, as in the tables of snapshots.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it, without the key.")],
    as_json: AsJson = False,
) -> None:
    """Erase a patient: films, features, pictures, rows of tables, the cache of this machine."""
    from pneumo_tasks.promotion.erasing.erasure import erase_patient
    from pneumo_tasks.promotion.registry.change_request import person

    settings, store = open_bucket()
    erased = erase_patient(settings, store, key, person(), reason)
    if as_json:
        print_json(erased.model_dump(mode="json"))
        return
    say(f"Erased: {erased.films} films of {erased.batches} batches (ledger entry {erased.seq}).")
    say(f"{erased.deleted} objects deleted, {erased.rewritten} rewritten.")
    say(f"{erased.former_versions} former versions deleted.")
    for version in erased.trained_with:
        say(f"{version} was trained with these films: it still holds what it learned.")
    for left in erased.left:
        say(f"{left} names a digest of a film: the ledger rests on it.")
    say("Other machines: delete their cache folders. What is not in the bucket is not erased.")
