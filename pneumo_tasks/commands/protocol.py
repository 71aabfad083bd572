"""``pneumo protocol``: what has to hold for a promotion, and who decided so."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pneumo_tasks.commands.opening import open_bucket
from pneumo_tasks.commands.output import AsJson, print_json, print_table

app = typer.Typer(
    help="What shall hold for a promotion, and who decided so; not yet enforced.",
    no_args_is_help=True,
)

WAITING = 4

Reason = Annotated[str, typer.Option("--reason", help="Why; it enters the ledger with your name.")]
Given = Annotated[str, typer.Argument(help="A file (YAML or JSON), a digest, or 'active'.")]
Ill = Annotated[int, typer.Option(help="Patients with pneumonia in the test set.")]
Healthy = Annotated[int, typer.Option(help="Patients without pneumonia in the test set.")]


@app.command()
def show(
    digest: Annotated[
        str, typer.Argument(help="The start of a digest; without it the active one.")
    ] = "active",
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print it as a file to edit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the protocol that holds, or another one of the bucket."""
    import yaml

    protocol, seq = _named(digest)
    document = protocol.model_dump(mode="json")
    if as_yaml:
        typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())
    elif as_json:
        print_json({"digest": protocol.digest, "seq": seq, "embedded": seq == 0, "protocol": document})
    else:
        said = "the embedded default: no protocol was activated" if seq == 0 else f"ledger entry {seq}"
        typer.echo(f"{protocol.name} ({protocol.digest[:12]}, {said})\n{protocol.intended_use}")
        print_table(["limit", "value"], [{"limit": n, "value": v} for n, v in protocol.limits.items()])


@app.command()
def check(file: Path, ill: Ill = 390, healthy: Healthy = 234, as_json: AsJson = False) -> None:
    """Say whether a file is a valid protocol, and which of its values a sound candidate may fail."""
    from pneumo_tasks.promotion.protocol.soundness import warnings_of

    protocol = _read(file)
    found = warnings_of(protocol, ill, healthy)
    if as_json:
        print_json({"digest": protocol.digest, "valid": True, "warnings": found})
        return
    typer.echo(f"valid: {protocol.name}, digest {protocol.digest}")
    for warning in found:
        typer.echo(f"warning: {warning}")


@app.command()
def diff(before: Given, after: Given, as_json: AsJson = False) -> None:
    """Show what differs between two protocols, and whether the bar gets tighter or looser."""
    from pneumo_tasks.promotion.protocol.bounds import compare

    first, second = _named(before)[0], _named(after)[0]
    rows = [vars(change) for change in compare(first.limits, second.limits)]
    for part in ("name", "intended_use", "approval", "test_set", "budget"):
        one, other = (document.model_dump(mode="json")[part] for document in (first, second))
        if one != other:
            rows.append({"name": part, "before": one, "after": other, "effect": "other"})
    if as_json:
        print_json(rows)
    else:
        print_table(["name", "before", "after", "effect"], rows)


@app.command()
def activate(given: Given, reason: Reason, as_json: AsJson = False) -> None:
    """Make a protocol the one that holds; exit 4 while a second person has to agree."""
    from pneumo_tasks.promotion.protocol import activation
    from pneumo_tasks.promotion.registry.rollback import person

    settings, store = open_bucket()
    done = activation.activate(settings, store, _named(given)[0], person(), reason)
    if as_json:
        print_json(vars(done))
    else:
        typer.echo(f"Protocol {done.digest[:12]}: {done.sentence}.")
    raise typer.Exit(0 if done.seq else WAITING)


@app.command()
def history(as_json: AsJson = False) -> None:
    """List every activation, oldest first."""
    from pneumo_tasks.promotion.protocol import activation

    _, store = open_bucket()
    rows = activation.history(store)
    if as_json:
        print_json(rows)
    else:
        print_table(["seq", "at", "digest", "by", "approved_by", "reason"], rows)


def _named(given: str) -> tuple[Any, int]:
    """(protocol, ledger entry or 0) of a file, of a digest, or of ``active``."""
    from pneumo_tasks.promotion.protocol.activation import active_protocol, find_protocol
    from pneumo_tasks.settings import Settings

    if given != "active" and Path(given).is_file():
        return _read(Path(given)), 0
    settings, store = open_bucket()
    if given == "active":
        found = active_protocol(settings, store, Settings.load())
        return found.protocol, found.seq
    return find_protocol(settings, store, given), -1


def _read(file: Path) -> Any:
    from pneumo_tasks.promotion.protocol.document import parse_protocol

    return parse_protocol(file.read_bytes(), str(file))
