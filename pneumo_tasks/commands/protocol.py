"""``pneumo protocol``: what has to hold for a promotion, and who decided so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import WAITING, AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from pneumo_tasks.promotion.protocol.activation import Active

app = typer.Typer(
    help="What has to hold for a promotion, and who decided so.",
    no_args_is_help=True,
)

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

    found = _named(digest)
    protocol, seq = found.protocol, found.seq
    document = protocol.model_dump(mode="json")
    if as_yaml:
        say(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())
    elif as_json:
        print_json({"digest": found.digest, "seq": seq, "embedded": found.embedded, "protocol": document})
    else:
        said = {0: "the embedded default: no protocol was activated", -1: "never activated"}
        place = said.get(seq, f"activated by ledger entry {seq}")
        say(f"{protocol.name} ({found.digest[:12]}, {place})\n{protocol.intended_use}")
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
    say(f"valid: {protocol.name}, digest {protocol.digest}")
    for warning in found:
        say(f"warning: {warning}")


@app.command()
def diff(before: Given, after: Given, as_json: AsJson = False) -> None:
    """Show what differs between two protocols, and whether the bar gets tighter or looser."""
    from pneumo_tasks.promotion.protocol.bounds import compare

    first, second = _named(before).protocol, _named(after).protocol
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
    from pneumo_tasks.promotion.registry.change_request import person

    settings, store = open_bucket()
    done = activation.activate(settings, store, _named(given).protocol, person(), reason)
    if as_json:
        print_json(vars(done))
    else:
        say(f"Protocol {done.digest[:12]}: {done.sentence}.")
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


@app.command()
def plan(
    given: Given = "active",
    gain: Annotated[float, typer.Option(help="Smallest gain of recall worth promoting.")] = 0.02,
    differ: Annotated[float, typer.Option(help="Share of films whose verdict changes in a week.")] = 0.01,
    power: Annotated[float, typer.Option(help="Probability of promoting that gain at first sight.")] = 0.8,
    ill: Annotated[int | None, typer.Option(help="Ill test patients; empty: the last run's.")] = None,
    healthy: Annotated[int | None, typer.Option(help="Healthy test patients.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many test patients the protocol's guarantee needs, and what today's test set can promise."""
    from pneumo_tasks.promotion.protocol.soundness import plan

    protocol = _named(given).protocol
    today = _test_patients() if ill is None or healthy is None else {"PNEUMONIA": ill, "NORMAL": healthy}
    found = plan(protocol.budget, today, gain, differ, power).model_dump()
    if as_json:
        print_json(found)
        return
    rows = [
        {"class": label, "needed": needed, "today": today.get(label, 0),
         "rules out today": f"{found['promised'].get(label, 1.0) * 100:.1f} points"}
        for label, needed in found["needed"].items()
    ]  # fmt: skip
    print_table(["class", "needed", "today", "rules out today"], rows)
    say(f"A gain of {gain:g} is seen at first sight with {found['to_see_the_gain']} ill patients.")


def _test_patients() -> dict[str, int]:
    """Of the champion's evaluation; empty where nothing was promoted, or it is of an older release."""
    from pneumo_tasks.evaluation.record import read_evaluation
    from pneumo_tasks.promotion.registry.champion import read_champion

    _, store = open_bucket()
    champion = read_champion(store)
    return read_evaluation(store, champion.run_id).test_patients if champion else {}


def _named(given: str) -> "Active":
    """The protocol of a file, of a digest, or of ``active``; its entry is -1 where none activated it."""
    from pneumo_tasks.promotion.protocol.activation import Active, active_protocol, find_protocol
    from pneumo_tasks.settings import Settings

    if given != "active" and Path(given).is_file():
        return Active(_read(Path(given)), -1)
    settings, store = open_bucket()
    if given == "active":
        return active_protocol(settings, store, Settings.load())
    return find_protocol(settings, store, given)


def _read(file: Path) -> Any:
    from pneumo_tasks.promotion.protocol.document import parse_protocol

    return parse_protocol(file.read_bytes(), str(file))
