"""How commands answer: JSON for scripts, tables for people."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def print_table(columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """One line a row; a missing value is a dash."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("-" if row.get(name) is None else str(row[name]) for name in columns))
    Console().print(table)
