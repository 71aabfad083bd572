"""Many reads at once, under one deadline: a store that falls silent costs one limit, not one an object."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pneumo_tasks.errors import StorageUnavailable

Wanted = TypeVar("Wanted")
Answer = TypeVar("Answer")

PATIENCE = 300.0  # seconds for one call, however many reads it makes
UPGRADING = 3600.0  # for what is read once after an upgrade, and summed up for later readers
_THREADS = 8


def read_many(
    read: Callable[[Wanted], Answer],
    wanted: Sequence[Wanted],
    *,
    seconds: float = PATIENCE,
    threads: int = _THREADS,
) -> list[Answer]:
    """``read`` of each of ``wanted``, in their order.

    The first error ends the call, and what still waits is not begun. StorageUnavailable where not all
    are there after ``seconds``. Reads that run are left to their own time-outs; nobody waits for them.
    """
    waiting = deque(enumerate(wanted))
    finished: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while waiting:
            try:
                at, item = waiting.popleft()
            except IndexError:  # another thread took the last
                return
            try:
                finished.put((at, read(item), None))
            except BaseException as error:  # noqa: BLE001 - it is the caller's, and raised there
                waiting.clear()
                finished.put((at, None, error))

    for _ in range(min(threads, len(wanted))):
        threading.Thread(target=work, daemon=True).start()
    try:
        return _gathered(finished, len(wanted), seconds)
    finally:
        waiting.clear()


def _gathered(
    finished: "queue.SimpleQueue[tuple[int, Any, BaseException | None]]", count: int, seconds: float
) -> list[Any]:
    deadline = time.monotonic() + seconds
    answers: dict[int, Any] = {}
    while len(answers) < count:
        try:
            at, answer, error = finished.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise StorageUnavailable(
                "the object store is too slow, or silent",
                found=f"{len(answers)} of {count} reads in {seconds:.0f} s",
                do="Look at the server and at the network.",
            ) from None
        if error is not None:
            raise error
        answers[at] = answer
    return [answers[at] for at in range(count)]
