"""Run as a script: a task in a process of Celery's pool, which starts processes of its own."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import billiard

if __name__ == "__mp_main__":
    sys.exit("a child ran its parent's script again")


def task() -> None:
    from pneumo_airflow import stages

    stages.allow_children()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        sys.stdout.write(str(list(pool.map(abs, [-1, -2]))))


if __name__ == "__main__":
    pooled = billiard.Process(target=task)
    pooled.daemon = True
    pooled.start()
    pooled.join(120)
    sys.exit(pooled.exitcode)
