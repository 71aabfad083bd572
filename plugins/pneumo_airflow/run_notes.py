"""Listener of the scheduler and of the API server: a run that ended gets its note, and the bucket is told.

No task can set the note of its run, and the scheduler should not wait for a bucket: the last task
leaves the text in Airflow's database, and this puts it where the list of runs shows it.
"""

from typing import Any

from airflow.listeners import hookimpl

from pneumo_airflow.ended_runs import tell_bucket, why_ended
from pneumo_airflow.stages import CLOSING_TASK, DAG_ID, ROLLBACK_DAG_ID, WATCH_DAG_ID
from pneumo_tasks.shown import for_markdown

NOTE_KEY = "note"


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    end(dag_run, msg)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    end(dag_run, msg)


def end(dag_run: Any, msg: str) -> None:
    """Write the run's note, and tell the bucket of a run of ours who or what ended it."""
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None or dag_run.dag_id not in (DAG_ID, ROLLBACK_DAG_ID, WATCH_DAG_ID):
        return  # a run of others, or a DAG that is tried out in one process
    why = why_ended(dag_run, msg, session)
    _write_note(dag_run, session, f"stopped: {why}" if why else "")
    if dag_run.dag_id == DAG_ID:
        tell_bucket(dag_run.run_id, why)


def _write_note(dag_run: Any, session: Any, otherwise: str) -> None:
    """Put the closing task's note, or what there is to say without it, below what the person wrote."""
    from airflow.models.xcom import XComModel

    asked = XComModel.get_many(
        run_id=dag_run.run_id, dag_ids=dag_run.dag_id, task_ids=CLOSING_TASK, key=NOTE_KEY, limit=1
    )
    found = session.scalar(asked)
    said = str(XComModel.deserialize_value(found)) if found else otherwise
    note = for_markdown(said)  # the UI renders Markdown
    former = dag_run.note or ""
    if note and note not in former:
        dag_run.note = f"{former}\n\n{note}".strip()
