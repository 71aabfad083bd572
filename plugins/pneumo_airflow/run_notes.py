"""Listener of the scheduler: a run that ended gets the note that its last task wrote for it.

No task can set the note of its run, and the scheduler should not wait for a bucket: the task
leaves the text in Airflow's database, and this puts it where the list of runs shows it.
"""

from typing import Any

from airflow.listeners import hookimpl

from pneumo_airflow.stages import CLOSING_TASK, DAG_ID, ROLLBACK_DAG_ID

NOTE_KEY = "note"


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    del msg
    write_note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    del msg
    write_note(dag_run)


def write_note(dag_run: Any) -> None:
    """Put the closing task's note below what the person who started the run wrote."""
    from airflow.models.xcom import XComModel
    from sqlalchemy.orm import object_session

    if dag_run.dag_id not in (DAG_ID, ROLLBACK_DAG_ID):
        return
    session = object_session(dag_run)
    if session is None:  # a DAG that is tried out in one process
        return
    asked = XComModel.get_many(
        run_id=dag_run.run_id, dag_ids=dag_run.dag_id, task_ids=CLOSING_TASK, key=NOTE_KEY, limit=1
    )
    found = session.scalar(asked)
    note = str(XComModel.deserialize_value(found)) if found else ""
    former = dag_run.note or ""
    if note and note not in former:
        dag_run.note = f"{former}\n\n{note}".strip()
