"""``pneumo models``: the champion and its predecessors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import WAITING, AsJson, agreed, print_json, print_table, say

if TYPE_CHECKING:
    from pneumo_tasks.promotion.registry.change_request import ChangeRequest
    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore

app = typer.Typer(help="The champion and its predecessors.", no_args_is_help=True)

NO_CHAMPION = 3
Reason = Annotated[str, typer.Option("--reason", help="Why; it enters the ledger with your name.")]


@app.command()
def champion(as_json: AsJson = False) -> None:
    """Show the champion and its test metrics; exit 3 where there is none."""
    from pneumo_tasks.promotion.registry.champion import champion_summary

    _, store = open_bucket()
    summary = champion_summary(store)
    if summary is None:
        say("No model has been promoted yet.", err=True)
        raise typer.Exit(NO_CHAMPION)
    if as_json:
        print_json(summary)
        return
    print_table(["version", "run_id", "recipe", "threshold", "promoted_at"], [summary])
    print_table(["images", "recall", "precision", "specificity", "accuracy", "auc"], [summary["test"]])


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List every registered version."""
    from pneumo_tasks.promotion.registry.champion import list_versions

    _, store = open_bucket()
    columns = ["version", "run_id", "recipe", "threshold", "snapshot_id", "test_set_id", "sha256"]
    rows = [manifest.model_dump(mode="json", include=set(columns)) for manifest in list_versions(store)]
    if as_json:
        print_json(rows)
    else:
        print_table(columns[:-1], rows)


@app.command()
def history(
    at: Annotated[str | None, typer.Option(help="What was live then: a date, or a moment in UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show every decision about the champion; with --at the one that was live, exit 3 if none was."""
    from pneumo_tasks.promotion.registry.history import champion_at, read_history

    _, store = open_bucket()
    if at is None:
        rows = [chapter.model_dump() for chapter in read_history(store)]
    else:
        live = champion_at(store, at)
        if live is None or live.version is None:
            say(f"No champion was live at {at}.", err=True)
            raise typer.Exit(NO_CHAMPION)
        rows = [live.model_dump()]
    if as_json:
        print_json(rows if at is None else rows[0])
    else:
        print_table(["seq", "at", "kind", "live", "until", "version", "by", "reason"], rows)


@app.command()
def matrix(
    score: Annotated[bool, typer.Option("--score", help="First fill empty cells: one pass a film.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure every kept version on every data set that it was not trained on, from what is kept."""
    from pneumo_tasks import pipeline
    from pneumo_tasks.monitoring.matrix import measure_matrix
    from pneumo_tasks.run import Run

    settings, store = open_bucket()
    if score:
        pipeline.score_later(Run(settings, store, "matrix", recorded=False))
    found = measure_matrix(settings, store)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    columns = ["version", "data", "evidence", "films", "recall", "specificity"]
    rows = [
        {
            **cell.model_dump(include={"data", "evidence", "films"}),
            "version": row.version,
            "recall": cell.recall.value,
            "specificity": cell.specificity.value,
        }
        for row in found.versions
        for cell in row.cells
    ]
    print_table(columns, rows)
    for row in found.versions:
        if row.update is not None:
            say(f"{row.version} after {row.update.before}: {row.update.sentence}")


@app.command()
def verify(
    since: Annotated[
        list[str] | None, typer.Option(help="NUMBER@DIGEST that an earlier check printed; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every digest, the ledger's chain, the pointer and the signatures; exit 1 if one fails.

    With --since also that no entry was cut since then, and that the pointer was not set back.
    """
    from pneumo_tasks.promotion.registry.anchors import Anchor
    from pneumo_tasks.promotion.verifying.verification import verify

    anchors = [Anchor.parse(given) for given in since or ()]
    findings = [finding.model_dump() for finding in verify(*open_bucket(), anchors)]
    if as_json:
        print_json(findings)
    else:
        print_table(["subject", "verdict", "detail"], findings)
    raise typer.Exit(1 if any(finding["verdict"] == "fail" for finding in findings) else 0)


@app.command()
def rollback(version: str, reason: Reason, as_json: AsJson = False) -> None:
    """Make a former champion, its digests checked, the champion; exit 4 while a second person is asked."""
    from pneumo_tasks.promotion.moving.rollback import rollback

    settings, store = open_bucket()
    moved = rollback(settings, store, version, _asked_for(settings, store, "rollback", version, reason))
    if as_json:
        print_json(moved.model_dump())
    else:
        say(f"Champion: {version} (ledger entry {moved.seq}).")


@app.command("reset-champion")
def reset_champion(reason: Reason, as_json: AsJson = False) -> None:
    """Leave no champion: the next candidate is judged by the floors alone; exit 4 as with a rollback."""
    from pneumo_tasks.promotion.moving.rollback import reset_champion

    settings, store = open_bucket()
    moved = reset_champion(settings, store, _asked_for(settings, store, "reset", "champion", reason))
    if as_json:
        print_json(moved.model_dump())
    else:
        say(f"There is no champion now (ledger entry {moved.seq}).")


@app.command()
def sign(
    list_: Annotated[bool, typer.Option("--list", help="Name each object, not only how many.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: a person has looked at it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what nobody signed or sealed, ask, then sign and seal it; exit 1 where it is not done.

    For a bucket that had a history before it had a key. All of it has to verify.
    """
    from pneumo_tasks.promotion.verifying.signing import COMPARE, by_kind, find_unsigned, sign_history
    from pneumo_tasks.promotion.verifying.verification import verify_unsigned

    settings, store = open_bucket()
    if failed := [finding.model_dump() for finding in verify_unsigned(settings, store)]:
        print_table(["subject", "verdict", "detail"], failed)
        raise typer.Exit(1)
    found = find_unsigned(settings, store)
    if found and not as_json:
        print_table(["kind", "objects", "oldest", "newest"], by_kind(found))
        print_table(["key", "modified", "sha256"], [one.row for one in found] if list_ else [])
        say(COMPARE)
    if found and not yes and (as_json or not agreed(f"Sign and seal these {len(found)} objects?")):
        if as_json:
            print_json({"signed": [], "unsigned": [one.row for one in found]})
        say("Nothing was signed or sealed. Look at it, then say so: --yes.", err=True)
        raise typer.Exit(1)
    signed = sign_history(settings, store, found)
    if as_json:
        print_json({"signed": signed, "unsigned": []})
    else:
        say(f"{len(signed)} documents signed or sealed. From now on nothing unsigned becomes the champion.")


@app.command("end-signing")
def end_signing(reason: Reason, as_json: AsJson = False) -> None:
    """Let what follows be unsigned, by an entry of the ledger; exit 4 while a second person is asked."""
    from pneumo_tasks.promotion.verifying.signing import end_signing

    settings, store = open_bucket()
    request = _asked_for(settings, store, "end-signing", "bucket", reason)
    entry = end_signing(settings, store, request)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        say(f"Signing has ended (ledger entry {entry.seq}).")


@app.command("accept-test-set")
def accept_test_set(run_id: str, reason: Reason, as_json: AsJson = False) -> None:
    """Accept that the test set of a run lacks films that judged the champion; the next run may then pass."""
    from pneumo_tasks.promotion.deciding.test_set import accept_test_set

    settings, store = open_bucket()
    request = _asked_for(settings, store, "test-set", run_id, reason)
    entry = accept_test_set(settings, store, run_id, request)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        say(f"The test set of {run_id} is accepted (ledger entry {entry.seq}); start another run.")


@app.command()
def approve(run_id: str, reason: Reason, as_json: AsJson = False) -> None:
    """Promote the candidate of a run that waits for a person: you, as the operating system names you."""
    _answer(run_id, "promote", reason, as_json)


@app.command()
def reject(run_id: str, reason: Reason, as_json: AsJson = False) -> None:
    """Refuse the candidate of a run that waits for a person; the champion stays."""
    _answer(run_id, "reject", reason, as_json)


def _answer(run_id: str, verdict: Literal["promote", "reject"], reason: str, as_json: bool) -> None:
    from pneumo_tasks import pipeline
    from pneumo_tasks.promotion.approval import Approval
    from pneumo_tasks.promotion.registry.change_request import person
    from pneumo_tasks.promotion.runs.index import enter_run
    from pneumo_tasks.promotion.runs.runs import stored_as
    from pneumo_tasks.run import Run

    settings, store = open_bucket()
    run = Run(settings, store, stored_as(store, run_id))
    settled = pipeline.answer(run, Approval(verdict=verdict, by=person(), reason=reason))
    enter_run(store, run.run_id)
    if as_json:
        print_json(settled.model_dump())
    elif settled.seq is None:
        say(f"Not promoted: {settled.reason}")
    else:
        say(f"Champion: {settled.version} (ledger entry {settled.seq}).")


def _asked_for(
    settings: "Settings", store: "ObjectStore", kind: str, subject: str, reason: str
) -> "ChangeRequest":
    """The change as it may be made now; exit 4 while the protocol wants a second person to agree."""
    from pneumo_tasks.promotion.registry.change_request import with_second_person

    request = with_second_person(settings, store, kind, subject, reason)
    if isinstance(request, str):
        say(request, err=True)
        raise typer.Exit(WAITING)
    return request


@app.command()
def download(
    path: Annotated[Path, typer.Argument(help="Where to put the .keras file.")],
    version: Annotated[str | None, typer.Option(help="A version; without it the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a model, its digest and signature checked."""
    from pneumo_tasks.promotion.registry.versions import download_model

    settings, store = open_bucket()
    found = download_model(settings, store, path, version)
    manifest = found.manifest
    facts = {"path": str(path), "threshold": manifest.threshold, "signature": found.signature}
    facts |= {"version": manifest.version, "sha256": manifest.sha256}
    if as_json:
        print_json(facts)
    else:
        print_table(["version", "threshold", "sha256", "signature", "path"], [facts])
