"""The progress of a command, on stderr, so that what it prints stays clean."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pneumo_tasks.intake.sent.batches import Progress


@contextmanager
def show_progress(label: str) -> Iterator[Progress]:
    with typer.progressbar(length=100, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.update(int(100 * done / max(total, 1)) - bar.pos)

        yield show
