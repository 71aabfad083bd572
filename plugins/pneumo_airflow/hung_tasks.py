"""Tasks that hang in C: ended a while after their time limit, where Airflow cannot.

Airflow's limit is a signal that Python answers. Code that holds the interpreter and does not return, as a
hung driver does, keeps Python from it: the task would last until the run's own limit, days later. A watchdog
of ``faulthandler`` is a thread in C that needs no interpreter: it writes where the task hangs into the task's
log and ends the process, which Airflow then tries again.
"""

import faulthandler
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

_STDERR = 2  # Airflow reads it into the task's log
GRACE = timedelta(minutes=5)  # for Airflow's own limit, and for what a task does after it


def end_where_it_hangs(context: Mapping[str, Any]) -> None:
    """Watch this process, where it is one of a task of its own and the task has a time limit."""
    limit = getattr(context["ti"].task, "execution_timeout", None)
    if limit is not None and _is_of_a_task():
        watch(limit + GRACE)


def watch(limit: timedelta) -> None:
    faulthandler.dump_traceback_later(limit.total_seconds(), file=_STDERR, exit=True)


def _is_of_a_task() -> bool:
    """False where tasks run inside of a longer process: `airflow dags test`, or a test of ours."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import CommsDecoder

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), CommsDecoder)
