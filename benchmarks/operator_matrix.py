"""What becomes of a run when an operator, or a machine, does something to one of its tasks.

    python benchmarks/operator_matrix.py [--task TASK …] [--act ACT …] [--write docs/operator-matrix.md]

Every task × {marked as success, marked as failed, killed for good, timed out, killed once, cleared alone,
cleared with what follows}: it is done, the run goes on as far as it goes, a question is answered with yes,
then Airflow, the pages and the bucket are asked. It fails where a cell breaks a law. Airflow's database, API
and scheduling are the real ones, one step at a time (tests/dags/stepped.py); a kill is what Airflow sees of
one.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
DAG = "pneumonia_retraining"
ACTS = ("marked success", "marked failed", "killed for good", "timed out", "killed once", "cleared alone",
        "cleared with downstream")  # fmt: skip
UNSETTLED = ("running", "waiting", "lost-contact")


@dataclass(frozen=True)
class Cell:
    """What is seen at the end: of the run in Airflow, on its page, in the list, in the bucket."""

    task: str
    act: str
    airflow: str
    page: str
    listed: str
    bucket: str
    champion: str
    reason: str
    seconds: float

    def broken_laws(self) -> Iterator[str]:
        done = self.act in ("killed once", "cleared alone", "cleared with downstream")
        # Training computes the features that are missing; the report and the list are of what was decided.
        harmless = self.task in ("extract_features", "close_run", "write_report")
        if self.airflow in ("running", "queued"):
            yield f"Airflow says {self.airflow}, and nothing goes on"
        if {self.page, self.listed, self.bucket} & set(UNSETTLED):
            yield "something says that it goes on"
        if not self.page == self.listed == self.bucket:
            yield "page, list and bucket differ"
        painted = self.task == "close_run" and self.act == "marked success"  # by the person's own hand
        if not painted and (self.airflow == "success") != (
            self.bucket in ("promoted", "rejected", "identical", "nothing-new")
        ):
            yield "the colour in Airflow is not the bucket's word"
        if self.champion == "this run" and not done and not harmless:
            yield "promoted, although a task did not do its work"
        if done and self.champion != "this run":
            yield "it should have been promoted"
        if self.bucket in ("failed", "stopped") and len(self.reason) < 20:
            yield "no reason is given"
        if any(
            word in self.reason
            for word in ("NoneType", "Traceback", "KeyError", "ValidationError", "TypeError")
        ):
            yield "the reason is a defect's, not a sentence"


@contextmanager
def installation() -> Iterator[tuple[Any, Any]]:
    """An S3 server, a bucket with two batches, and a stepped Airflow, all in a folder that is removed."""
    sys.path[:0] = [str(PROJECT), str(PROJECT / "plugins"), str(PROJECT / "dags")]
    from pneumo_tasks.local import seaweedfs
    from pneumo_tasks.local.processes import StartedProcess, stop
    from tests import airflow_home

    folder = Path(tempfile.mkdtemp(prefix="pneumo-matrix-"))
    for name in [name for name in os.environ if name.startswith(("PNEUMO_", "AWS_"))]:
        del os.environ[name]
    airflow_home.prepare()
    server = seaweedfs.start(folder / "s3")
    process = StartedProcess.of("SeaweedFS", server.pid)
    os.environ |= {
        "PNEUMO_S3_ENDPOINT": server.endpoint, "PNEUMO_BUCKET": "matrix", "PNEUMO_DEMO": "true",
        "PNEUMO_SPLIT_SALT": "pneumo", "PNEUMO_TEST_SENDERS": "*",
        "PNEUMO_EXPORT_ONNX": "false", "PNEUMO_BACKBONE_WEIGHTS": "random", "PNEUMO_RESAMPLES": "100",
        "PNEUMO_CACHE_FOLDER": str(folder / "cache"), "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key, "TF_CPP_MIN_LOG_LEVEL": "3",
        "GX_ANALYTICS_ENABLED": "false", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    try:
        with _stepped(folder) as found:
            yield found
    finally:
        stop(process, 3)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(os.environ["AIRFLOW_HOME"], ignore_errors=True)


@contextmanager
def _stepped(folder: Path) -> Iterator[tuple[Any, Any]]:
    from tests.dags.stepped import EASY, RECIPE, SteppedAirflow, hand_in_phantoms, shrunk_recipe

    os.environ |= {f"PNEUMO_{name}": value for name, value in EASY.items()}
    from airflow.utils import db
    from fastapi.testclient import TestClient

    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore
    from pneumo_tasks.training import recipes

    recipes.RECIPES[RECIPE] = shrunk_recipe()
    settings = Settings.load()
    store = ObjectStore.connect(settings)
    store.ensure_bucket()
    hand_in_phantoms(settings, store, folder)
    passwords = Path(os.environ["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
    passwords.write_text(json.dumps({"admin": "admin", "vera": "vera"}))
    db.initdb()
    from airflow.api_fastapi.app import create_app

    with TestClient(create_app(), base_url="http://testserver") as api:
        airflow = SteppedAirflow(api)
        airflow.sign_in("admin")
        airflow.read_dags()
        yield airflow, store


# ---- what is done --------------------------------------------------------------------------


def finish(run: Any) -> None:
    """Go on to the end; a question is answered with yes, by somebody who did not start the run."""
    run.go_on()
    if run.states().get("approve_promotion") == "awaiting_input":
        run.answer("approve_promotion", "promote", "looked at every miss")
        run.go_on()


def mark(state: str) -> Callable[[Any, Any], None]:
    return lambda run, ti: run.mark(ti.task_id, state)


def act_on(run: Any, task: str, act: str) -> None:
    """Do it, at the moment when the task is about to begin, and let the run go on to its end."""
    acts: dict[str, Callable[[Any, Any], None]] = {
        "marked success": mark("success"),
        "marked failed": mark("failed"),
        "killed once": lambda run, ti: run.kill(ti),
        "killed for good": lambda run, ti: run.kill(ti, for_good=True),
        "timed out": lambda run, ti: run.overrun(ti),
    }
    if task == "approve_promotion" and act == "timed out":
        run.go_on()
        run.let_nobody_answer(task)
        finish(run)
        return
    run.go_on(until=task)
    run.go_on(before={task: acts[act]})
    finish(run)


def clear(run: Any, task: str, act: str) -> None:
    run.clear(task, downstream=act == "cleared with downstream")
    finish(run)


# ---- what is seen --------------------------------------------------------------------------


def look(run: Any, store: Any, task: str, act: str, began: float) -> Cell:
    import re

    from pneumo_tasks.promotion.registry.champion import champion_summary
    from pneumo_tasks.promotion.runs.index import list_runs
    from pneumo_tasks.promotion.runs.runs import show_run

    def outcome(found: Any) -> str:
        return str(found.decision or found.state)

    found = show_run(store, run.run_id)
    (listed,) = [one for one in list_runs(store) if one.run_id == run.run_id]
    page = run.airflow.api.get("/pneumo/run", params={"run_id": run.run_id}).text
    shown = re.search(r'class="decision[^"]*">([^<]*)<', page)
    champion = champion_summary(store)
    mine = champion is not None and champion["run_id"] == run.run_id
    on_page = shown[1].strip().replace("lost contact", "lost-contact") if shown else "no page"
    return Cell(
        task, act, run.state, on_page,
        outcome(listed), outcome(found), "this run" if mine else "unchanged", found.reason,
        round(time.monotonic() - began, 1),
    )  # fmt: skip


def begin(airflow: Any, seed: int) -> Any:
    return airflow.trigger(DAG, {"force": True, "require_approval": True, "seed": seed})


def cells(airflow: Any, store: Any, tasks: list[str], acts: list[str]) -> Iterator[Cell]:
    """One run goes through all tasks: at each, what stops it is done, and cleared again with what follows.

    Another run takes over where a task ran beside the one before. The last run promotes; then each of its
    tasks is cleared.
    """
    run = begin(airflow, 100)
    for task in tasks:
        for act in [act for act in ACTS[:4] if act in acts]:
            began = time.monotonic()
            if run.states().get(task) == "success":  # it ran beside the one before, and its answer is kept
                run.mark_run("failed")
                run.go_on()
                run = begin(airflow, 200 + tasks.index(task))
            act_on(run, task, act)
            assert run.states().get(task) != "upstream_failed", f"{task} was not reached: {run.states()}"
            yield look(run, store, task, act, began)
            run.clear(task, downstream=True)
    finish(run)
    for act in [act for act in ACTS[5:] if act in acts]:
        for task in tasks:
            began = time.monotonic()
            clear(run, task, act)
            yield look(run, store, task, act, began)
    for number, task in enumerate(tasks if ACTS[4] in acts else ()):
        began = time.monotonic()
        run = begin(airflow, 101 + number)
        act_on(run, task, ACTS[4])
        yield look(run, store, task, ACTS[4], began)


def table(found: list[Cell]) -> str:
    lines = [
        "| task | what was done | Airflow | page | list | bucket | champion | reason |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for cell in found:
        values = (cell.task, cell.act, cell.airflow, cell.page, cell.listed, cell.bucket, cell.champion,
                  cell.reason.replace("|", "/").replace("\n", " ")[:160])  # fmt: skip
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", action="append", help="only this one; may be given several times")
    parser.add_argument("--act", action="append", choices=ACTS, help="only this one; likewise")
    parser.add_argument("--write", type=Path, help="the table, as Markdown")
    parser.add_argument("--json", type=Path, help="the cells, one a line, while they come")
    given = parser.parse_args()
    found: list[Cell] = []
    with installation() as (airflow, store):
        tasks = given.task or [task.task_id for task in airflow.dags[DAG].topological_sort()]
        try:
            for cell in cells(airflow, store, tasks, given.act or list(ACTS)):
                found.append(cell)
                broken = list(cell.broken_laws())
                line = json.dumps(asdict(cell) | {"broken": broken})
                print(line, flush=True)
                if given.json:
                    with given.json.open("a") as lines:
                        lines.write(f"{line}\n")
        except Exception:  # noqa: BLE001 - the cells so far are worth a table
            traceback.print_exc()
    if given.write:
        given.write.write_text(f"{table(found)}\n")
    broken = {(cell.task, cell.act): list(cell.broken_laws()) for cell in found}
    broken = {cell: laws for cell, laws in broken.items() if laws}
    raise SystemExit(
        "\n".join(f"{task}, {act}: {'; '.join(laws)}" for (task, act), laws in broken.items()) or 0
    )


if __name__ == "__main__":
    main()
