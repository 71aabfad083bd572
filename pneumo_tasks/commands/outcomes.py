"""``pneumo outcomes`` and ``pneumo watch``: what became of the studies that the live model judged."""

from pathlib import Path
from typing import Annotated

import typer

from pneumo_tasks.commands.terminal.opening import open_bucket
from pneumo_tasks.commands.terminal.output import AsJson, print_json, print_table, say

app = typer.Typer(help="What became of the studies that the live model judged.", no_args_is_help=True)

REVIEW_DUE, NO_CHAMPION = 5, 3


@app.command("import")
def import_(
    file: Path,
    announce: Annotated[bool, typer.Option("--announce", help="Then start the watch in Airflow.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import a CSV file with version, study, probability[, patient, site, diagnosis]."""
    from pneumo_tasks.commands.announcing import announce_outcomes, find_airflow
    from pneumo_tasks.monitoring.outcomes import import_outcomes, parse_outcomes
    from pneumo_tasks.promotion.registry.change_request import person

    settings, store = open_bucket()
    airflow = find_airflow(settings) if announce else None
    done = import_outcomes(store, parse_outcomes(file.read_bytes(), str(file)), person())
    labelled = sum(bool(row.diagnosis) for row in done.rows)
    if airflow is not None:
        announce_outcomes(airflow, done.seq, len(done.rows))
    facts = {
        "seq": done.seq,
        "rows": len(done.rows),
        "with_diagnosis": labelled,
        "arrived_at": done.arrived_at,
    }
    if as_json:
        print_json(facts)
    else:
        print_table(list(facts), [facts])


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List every import, oldest first."""
    from pneumo_tasks.monitoring.outcomes import read_imports

    _, store = open_bucket()
    rows = [
        {"seq": one.seq, "arrived_at": one.arrived_at, "by": one.by, "rows": len(one.rows)}
        for one in read_imports(store)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(["seq", "arrived_at", "by", "rows"], rows)


def watch(as_json: AsJson = False) -> None:
    """Say what the outcomes say of the champion; exit 5 where a review is due, 3 without a champion."""
    from pneumo_tasks.monitoring.watching import sentence, watch_champion

    found = watch_champion(*open_bucket())
    if found is None:
        say("No model has been promoted yet.", err=True)
        raise typer.Exit(NO_CHAMPION)
    if as_json:
        print_json({**found.model_dump(mode="json"), "sentence": sentence(found)})
    else:
        rows = [
            {"figure": name, **getattr(found, name).model_dump()}
            for name in ("recall", "specificity", "alarm_rate")
        ]
        print_table(["figure", "value", "low", "high", "patients"], rows)
        say(sentence(found))
    raise typer.Exit(REVIEW_DUE if found.alarm else 0)
