"""Tasks that cannot begin, and why: no pool of that name, or no worker that listens to their queue.

Airflow says of both that they are *scheduled* or *queued*, as it does of every task that is about to begin,
and leaves them so until the run's time is over.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pneumo_airflow.stages import DAG_ID

LONG = timedelta(minutes=10)  # in a queue: Airflow hands a task over within seconds


def why_stuck(run_ids: Sequence[str], now: datetime | None = None) -> dict[str, str]:
    """A sentence for each of these runs of which a task cannot begin; two questions of Airflow's database."""
    if not run_ids:
        return {}
    from airflow.models.pool import Pool
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asked = select(TaskInstance).where(
        TaskInstance.dag_id == DAG_ID,
        TaskInstance.run_id.in_(run_ids),
        TaskInstance.state.in_(["scheduled", "queued"]),
    )
    with create_session() as session:
        waiting = list(session.scalars(asked.order_by(TaskInstance.task_id)))
        pools = set(session.scalars(select(Pool.pool))) if waiting else set()
        told = [(task.run_id, _why(task, pools, now or datetime.now(UTC))) for task in waiting]
    return {run_id: why for run_id, why in reversed(told) if why}


def _why(task: Any, pools: set[str], now: datetime) -> str:
    if task.pool not in pools:
        remedy = f'airflow pools set {task.pool} 1 "One training at a time"'
        return f"{task.task_id} cannot begin: Airflow has no pool {task.pool}. Make it: {remedy}"
    if task.state == "queued" and task.queued_dttm and now - task.queued_dttm > LONG:
        return (
            f"{task.task_id} waits since {task.queued_dttm:%Y-%m-%d %H:%M} UTC for a worker of the queue "
            f"{task.queue}: start one, or see why it takes nothing"
        )
    return ""
