"""How commands answer: JSON for scripts, tables for people."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pneumo_tasks.secret_values import without_secrets
from pneumo_tasks.shown import for_terminal, plain

_LONG = 200  # rows
WAITING = 4  # the exit code where a person has to answer first

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def say(text: object, err: bool = False) -> None:
    """A sentence for people; what others wrote in it can do nothing to their terminal."""
    typer.echo(plain(without_secrets(str(text))), err=err)


def agreed(question: str) -> bool:
    """Whether a person says yes; where nobody can be asked, nobody did."""
    return sys.stdin.isatty() and typer.confirm(question, default=False)


def print_json(document: Any) -> None:
    """For scripts: what is invisible is written as JSON escapes it, and reads back the same."""
    written = json.dumps(document, indent=1, ensure_ascii=False)
    typer.echo("".join(letter if letter == plain(letter) else _escaped(letter) for letter in written))


def _escaped(letter: str) -> str:
    return json.dumps(letter)[1:-1]


def print_table(columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """One line a row; a missing value is a dash. A long table is printed as it is: its layout takes long."""
    cells = [
        ["-" if row.get(name) is None else for_terminal(str(row[name])) for name in columns] for row in rows
    ]
    if len(cells) > _LONG:
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for line in (columns, *cells):
            typer.echo(" ".join(map(str.ljust, line, widths)).rstrip())
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in cells:
        table.add_row(*map(Text, line))
    Console().print(table)
