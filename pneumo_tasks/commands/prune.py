"""``pneumo prune``: let old runs go, keep what a reviewer may ask for."""

from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table


def prune(
    keep: Annotated[int, typer.Option(min=0, help="How many of the youngest runs stay whole.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete artefacts and checkpoints of old runs; never a version, a ledger entry or a document."""
    from pneumo_tasks.promotion.erasing.retention import prune

    _, store = open_bucket()
    pruned = prune(store, keep, dry_run).model_dump() | {"dry_run": dry_run}
    if as_json:
        print_json(pruned)
    else:
        print_table(["runs", "objects", "bytes", "dry_run"], [pruned | {"runs": len(pruned["runs"])}])
