"""Processes that outlive the command that started them, and how to stop those and no others."""

import os
import time

import psutil
from pydantic import BaseModel, ConfigDict

# The clock a start time is computed from may be set by a second or so while a process runs.
_CLOCK_SLACK = 2.0


class StartedProcess(BaseModel):
    """A process that was started as the leader of its own session.

    The start time tells it from a later process that was given the same pid.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started: float

    @classmethod
    def of(cls, name: str, pid: int) -> "StartedProcess":
        return cls(name=name, pid=pid, started=psutil.Process(pid).create_time())

    def is_running(self) -> bool:
        """Whether the leader itself runs."""
        try:
            process = psutil.Process(self.pid)
            return _alive(process) and abs(process.create_time() - self.started) < _CLOCK_SLACK
        except psutil.Error:
            return False

    def session(self) -> list[psutil.Process]:
        """The leader and everything started in its session, also what outlived the leader.

        The session rather than the process group: Airflow gives every task a group of its own.
        """
        if psutil.pid_exists(self.pid) and not self.is_running() and _alive(psutil.Process(self.pid)):
            return []  # the pid is somebody else's now
        found = []
        for process in psutil.process_iter():
            try:
                ours = os.getsid(process.pid) == self.pid
                if ours and _alive(process) and process.create_time() > self.started - _CLOCK_SLACK:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def stop(started: StartedProcess, patience: float = 20.0) -> int:
    """End the whole session of ``started``: politely, then by force; returns how many processes ended."""
    ended: set[int] = set()
    deadline = time.monotonic() + patience
    asked: set[int] = set()
    while members := started.session():
        for process in members:
            late = time.monotonic() > deadline
            if late or process.pid not in asked:
                _signal(process, by_force=late)
            asked.add(process.pid)
        ended |= {process.pid for process in members}
        psutil.wait_procs(members, timeout=0.5)
    return len(ended)


def _signal(process: psutil.Process, *, by_force: bool) -> None:
    try:
        if by_force:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
