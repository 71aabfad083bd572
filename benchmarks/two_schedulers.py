"""What happens on a real Airflow that nobody stops for us: two schedulers on Postgres, and an operator.

    PYTHONPATH=DRIVERS python benchmarks/two_schedulers.py [--story STORY …] [--keep]

Starts an S3 server, Postgres, two schedulers with their executors, a DAG processor and an API server, tells
each story and prints a JSON line for what was seen. DRIVERS is where psycopg2 and asyncpg are, unless they
are installed (the extra ``server``). The recipe is at a third of its side. Nothing of the caller's is used.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from scheduler_lab import DAG, PROJECT, Lab, lab

# ---- the stories ---------------------------------------------------------------------------


def five_events(lab: Lab) -> dict[str, Any]:
    """Five batches are announced and a person triggers, at once; a scheduler is killed meanwhile."""
    from pneumo_tasks.promotion.registry.champion import champion_summary

    for number in range(5):
        lab.client.announce("pneumo_batch", {"batch_id": f"train-{number}"})
    by_hand = lab.client.trigger(DAG, {}, "")
    begun = lab.waits_until(lambda: [run for run in lab.runs() if run["state"] == "running"])[0]["dag_run_id"]
    lab.waits_until(lambda: lab.task(begun, "extract_features")["state"] == "running")
    lab.end("scheduler-2", signal.SIGKILL)
    most = lab.watch_runs(lambda runs: len(runs) > 1)
    found = lab.told()
    again = {run_id: twice for run_id, *_ in found if (twice := lab.begun_twice(run_id))}
    lab.start("scheduler-2", "scheduler", "--skip-serve-logs")
    return {"runs": found, "at once": most, "scheduler killed in": begun, "by hand": by_hand,
            "begun twice": again, "champion": champion_summary(lab.store)}  # fmt: skip


def backfill(lab: Lab) -> dict[str, Any]:
    """Four past Sundays are asked for by hand, four at a time."""
    before = len(lab.runs())
    said = lab.airflow("backfill", "create", "--dag-id", DAG, "--from-date", "2026-10-25",
                       "--to-date", "2026-11-20", "--max-active-runs", "4")  # fmt: skip
    lab.waits_until(lambda: len(lab.runs()) > before, 60)
    most = lab.watch_runs(lambda _: True)
    return {"said": said[:6], "runs": lab.told(), "at once": most}


def edited(lab: Lab) -> dict[str, Any]:
    """The DAG file changes while a run is on: a task is renamed that has not begun, and one that is done."""
    lab.settled()
    run_id = lab.client.trigger(DAG, {"force": True, "seed": 31}, "")
    lab.waits_until(lambda: lab.task(run_id, "extract_features")["state"] == "running")
    file = lab.dags / f"{DAG}.py"
    text = file.read_text()
    file.write_text(
        text.replace("compute_class_balance", "count_classes").replace("train_head", "train_first")
    )
    lab.settled()
    states = {one["task_id"]: one["state"] for one in lab.client.task_instances(DAG, run_id)}
    file.write_text(text)
    (run,) = [run for run in lab.runs() if run["dag_run_id"] == run_id]
    return {"run": run["state"], "note": run["note"], "tasks": states}


def missing_pool(lab: Lab) -> dict[str, Any]:
    """The pool of the training tasks is gone: what the page says."""
    lab.settled()
    lab.airflow("pools", "delete", "gpu")
    run_id = lab.client.trigger(DAG, {"force": True, "seed": 32}, "")
    lab.waits_until(lambda: lab.task(run_id, "extract_features")["state"] == "scheduled")
    page = lab.client._http.get("/pneumo/run", params={"run_id": run_id}).text
    said = " ".join(re.sub("<[^>]*>", "", page.partition("<h1>")[2]).split())[:300]
    lab.client.ensure_pool("gpu", 1, "one training")
    lab.client.end_run(DAG, run_id)
    return {"page": said}


def held(lab: Lab) -> dict[str, Any]:
    """A training that holds the interpreter in C is stopped by a person: how long it lives on."""
    import psutil

    lab.settled()
    (lab.dags / "hold").touch()
    run_id, note = lab.client.trigger(DAG, {"force": True, "seed": 33}, ""), lab.dags / "held"
    lab.waits_until(note.exists)
    process = psutil.Process(int(note.read_text()))
    began = time.monotonic()
    lab.client.end_run(DAG, run_id)
    lab.waits_until(lambda: not process.is_running() or process.status() == "zombie")
    took = round(time.monotonic() - began, 1)
    note.unlink()
    lab.settled()
    run = next(run for run in lab.runs() if run["dag_run_id"] == run_id)
    return {"seconds": took, "run": run["state"], "note": run["note"]}


def overrun(lab: Lab) -> dict[str, Any]:
    """The same, and nobody stops it: its limit of 100 s runs out, then the five minutes of the watchdog."""
    import psutil

    lab.settled()
    (lab.dags / "hold").touch()
    run_id, note = lab.client.trigger(DAG, {"force": True, "seed": 34}, ""), lab.dags / "held"
    lab.waits_until(note.exists)
    process, began = psutil.Process(int(note.read_text())), time.monotonic()
    note.unlink()
    with suppress(TimeoutError):
        lab.waits_until(lambda: not process.is_running() or process.status() == "zombie", 500)
    lived = round(time.monotonic() - began, 1)
    state = lab.task(run_id, "train_head")["state"]
    alive = process.is_running() and process.status() != "zombie"
    if alive:
        lab.client.end_run(DAG, run_id)
    lab.settled()
    run = next(run for run in lab.runs() if run["dag_run_id"] == run_id)
    return {"lived": lived, "still alive": alive, "task": state, "run": run["state"], "note": run["note"]}


STORIES: dict[str, Callable[[Lab], dict[str, Any]]] = {
    "five events": five_events, "backfill": backfill, "held": held, "missing pool": missing_pool,
    "edited": edited, "overrun": overrun,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--story", action="append", choices=STORIES, help="only this one; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    given = parser.parse_args()
    sys.path[:0] = [str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "dags")]
    for name in [name for name in os.environ if name.startswith(("PNEUMO_", "AWS_", "AIRFLOW"))]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    folder = Path(tempfile.mkdtemp(prefix="pneumo-two-schedulers-"))
    folder.chmod(0o755)
    try:
        with lab(folder) as found:
            for name in given.story or STORIES:
                began = time.monotonic()
                try:
                    seen = STORIES[name](found)
                except Exception as error:  # noqa: BLE001 - the other stories are told all the same
                    seen = {"error": repr(error)}
                print(
                    json.dumps({"story": name, "seconds": round(time.monotonic() - began), **seen}),
                    flush=True,
                )
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(folder)


if __name__ == "__main__":
    main()
