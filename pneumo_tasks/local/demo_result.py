"""How the demo ends: a table of what the run measured and decided, or why it failed."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.intake.records.batch_list import describe_batch
from pneumo_tasks.intake.records.verdicts import read_verdict
from pneumo_tasks.local.following import EndedRun
from pneumo_tasks.promotion.registry.champion import champion_summary
from pneumo_tasks.promotion.runs.runs import RunSummary, show_run
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

_COLOURS = {
    "promoted": "green",
    "rejected": "yellow",
    "dry-run": "cyan",
    "identical": "cyan",
    "nothing-new": "cyan",
}

_PAGES = "plugin/promotion-reports/pneumo"
_NAMED = 12


def show_result(console: Console, store: ObjectStore, run_id: str, reports: Path) -> str:
    """Print stages, rules, decision and champion of a run that Airflow calls a success; fetch its report.

    Returns the decision.
    """
    run = show_run(store, run_id)
    table = Table(title=f"Run {run_id}", show_header=False, title_justify="left")
    for stage in run.stages:
        table.add_row(stage["name"], f"{stage['seconds']:.1f} s")
    table.add_section()
    for rule in run.rules:
        colour = "green" if rule.verdict == "pass" else "red"
        value = "missing" if rule.value is None else f"{rule.value:.3f}"
        table.add_row(rule.name, f"{value} against {rule.limit:.3f}: [{colour}]{rule.verdict}[/]")
    table.add_section()
    decision = run.decision or "none"
    table.add_row("decision", f"[bold {_COLOURS.get(decision, 'red')}]{decision}[/]: {run.reason}")
    table.add_row("champion", _champion(champion_summary(store)))
    table.add_row("report", _fetch_report(store, run, run_id, reports))
    console.print(table)
    return decision


def show_quarantine(console: Console, store: ObjectStore, ui: str, batch_id: str) -> None:
    """Name each file that a batch's validation kept out, with its rule, and where the datasheet is."""
    batch = describe_batch(store, batch_id)
    verdict = read_verdict(store, batch_id, batch.digest) if batch.digest else None
    if verdict is None or not verdict.rejected:
        return
    console.print(
        f"      {verdict.accepted} of {verdict.images} films accepted; kept out, with the rule:",
        markup=False, highlight=False,
    )  # fmt: skip
    for rejection in verdict.rejected[:_NAMED]:
        said = f"      {rejection.rule:<17} {rejection.file}  ({rejection.value})"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    if (more := len(verdict.rejected) - _NAMED) > 0:
        console.print(f"      and {more} more", highlight=False)
    sheet = f"{ui}/{_PAGES}/batch?batch_id={quote(batch_id, safe='')}"
    console.print(f"      Datasheet for the sender: {sheet}", highlight=False, soft_wrap=True)


def show_next_steps(console: Console, ui: str, run_id: str) -> None:
    """One line for each thing to try after the demo."""
    steps = {
        "PNEUMO_FORCE=true make demo": "trains again on the same films, and asks whether that is better",
        "PNEUMO_FORCE=true PNEUMO_SEED=8 PNEUMO_MIN_PRECISION=0.99 make demo": "meets a floor that refuses",
        ".venv/bin/pneumo models history": "tells who was champion when, and why",
        ".venv/bin/pneumo models rollback --help": "tells how to bring an earlier champion back",
        f"{ui}/{_PAGES}/run?run_id={quote(run_id, safe='')}": "is the report, inside Airflow",
        f"{ui}/dags/pneumonia_retraining": "has the form, behind its Trigger button",
    }
    console.print("[bold]Try next:[/]")
    for what, why in steps.items():
        console.print(f"  {what}\n      {why}", markup=False, highlight=False, soft_wrap=True)


def show_failure(console: Console, store: ObjectStore, run_id: str, ended: EndedRun) -> None:
    """Print why the run failed, and which logs say more."""
    try:
        reason = show_run(store, run_id).reason
    except ObjectMissing:
        reason = ""
    console.print(f"[bold red]Run {run_id} failed[/] after {ended.seconds:.0f} s. {reason}", soft_wrap=True)
    for task in ended.failed:
        console.print(f"  {task.name}: {task.error}\n  log: {task.log}", highlight=False, soft_wrap=True)


def _champion(champion: dict[str, Any] | None) -> str:
    if champion is None:
        return "none yet"
    test = champion["test"]
    return (
        f"{champion['version']} (recall {test['recall']:.3f}, precision {test['precision']:.3f}, "
        f"AUC {test['auc']:.3f} on {test['images']} test images)"
    )


def _fetch_report(store: ObjectStore, run: RunSummary, run_id: str, reports: Path) -> str:
    try:
        body = store.read(layout.run(run_id, "report.html"))
    except ObjectMissing:
        return "none: nothing was trained" if run.decision == "nothing-new" else "missing"
    reports.mkdir(parents=True, exist_ok=True)
    path = reports / f"{layout.run_key(run_id)}.html"
    path.write_bytes(body)
    return str(path)
