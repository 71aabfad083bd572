"""Runs that ended from outside: who or what ended them, for the bucket, the note and the pages.

A run that comes to its last task is closed by it. Airflow may end one without it (a time limit, a task that
was marked by hand), and no task learns who did what: only the scheduler and the API server can say so.
"""

import logging
import re
import threading
from collections.abc import Iterable
from typing import Any

from pneumo_airflow.connection import connection_settings
from pneumo_airflow.stages import CLOSING_TASK, DAG_ID, open_store
from pneumo_airflow.stuck_tasks import why_stuck
from pneumo_tasks.errors import ObjectMissing, PneumoError
from pneumo_tasks.promotion.runs.runs import RunSummary
from pneumo_tasks.promotion.runs.state import UNSETTLED
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings

TELLING = "pneumo-ended-run"
_BY_HAND = ("patch_dag_run", "bulk_dag_runs", "patch_task_instance", "bulk_task_instances")

log = logging.getLogger(__name__)


def why_ended(dag_run: Any, msg: str, session: Any) -> str:
    """Who or what ended this run, in a sentence; empty where its own tasks did."""
    if msg == "timed_out":
        return f"its time limit ran out {_moment(dag_run.end_date)}"
    from airflow.models.log import Log
    from sqlalchemy import select

    asked = select(Log).where(Log.dag_id == dag_run.dag_id, Log.run_id == dag_run.run_id)
    for entry in session.scalars(asked.order_by(Log.id.desc()).limit(50)):
        if entry.event in _BY_HAND and (state := _marked(entry.extra)):
            what = entry.task_id or "the run"
            return f"{what} was marked as {state} by {entry.owner} {_moment(entry.dttm)}"
        if "clear" in entry.event:  # what was marked before that no longer counts
            break
    failed = [ti.task_id for ti in dag_run.get_task_instances(state=["failed"], session=session)]
    if named := ", ".join(sorted({task for task in failed if task != CLOSING_TASK})):
        return f"{named} failed and could not say why: its process was killed, or its worker was lost"
    return ""


def tell_bucket(run_id: str, why: str) -> threading.Thread:
    """Let the bucket know that a run has ended; neither the scheduler nor a person waits for it.

    Where the bucket is away this is logged: the pages ask Airflow once more, and to everybody else the
    run has lost contact after a while.
    """

    def close() -> None:
        from pneumo_tasks import pipeline

        try:
            settings = Settings.load(connection_settings())
            pipeline.end(Run(settings, open_store(settings), run_id), why)
        except ObjectMissing:
            log.info("run %s ended before it began", run_id)
        except PneumoError as error:
            log.warning("the bucket was not told that run %s ended: %s", run_id, error)

    thread = threading.Thread(target=close, name=TELLING, daemon=True)
    thread.start()
    return thread


def as_airflow_says(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The runs, those that have not ended as Airflow's database has them: ended, or still going on.

    Nothing is written: whoever reads pages may have no right to. Runs that Airflow does not know were
    started without it, and stay as they are.
    """
    runs = list(runs)
    open_runs = [run.run_id for run in runs if run.state in (*UNSETTLED, "lost-contact")]
    said = _ask_airflow(open_runs) if open_runs else {}
    found = [_corrected(run, *said[run.run_id]) if run.run_id in said else run for run in runs]
    stuck = why_stuck([run.run_id for run in found if run.state == "running"])
    return [
        run.model_copy(update={"reason": stuck[run.run_id]}) if run.run_id in stuck else run for run in found
    ]


def _ask_airflow(run_ids: list[str]) -> dict[str, tuple[str, Any]]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asked = select(DagRun.run_id, DagRun.state, DagRun.end_date)
    with create_session() as session:
        rows = session.execute(asked.where(DagRun.dag_id == DAG_ID, DagRun.run_id.in_(run_ids)))
        return {run_id: (str(state), ended) for run_id, state, ended in rows}


def _corrected(run: RunSummary, state: str, ended: Any) -> RunSummary:
    if state in ("success", "failed"):
        reason = f"Airflow ended it as {state} {_moment(ended)}".rstrip()
        return run.model_copy(update={"state": "stopped", "reason": reason})
    if run.state == "lost-contact":
        return run.model_copy(update={"state": "running", "reason": f"Airflow says that it is {state}"})
    return run


def _marked(extra: str | None) -> str:
    """The state that a request set, from what Airflow's audit log keeps of it (JSON)."""
    found = re.search(r'"(?:new_)?state": "(success|failed|skipped)"', extra or "")
    return found[1] if found else ""


def _moment(moment: Any) -> str:
    return f"({moment:%Y-%m-%d %H:%M} UTC)" if moment else ""
