"""Run as a script: one process a run id, all promoting at the same moment; prints the outcomes."""

import json
import multiprocessing
import sys
from multiprocessing.synchronize import Barrier

from pneumo_tasks.errors import PneumoError
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore


def promote(run_id: str, barrier: Barrier, outcomes: dict[str, str]) -> None:
    settings = Settings.load()
    store = ObjectStore.connect(settings)
    barrier.wait()
    try:
        promote_model(settings, store, run_id)
    except PneumoError as error:
        outcomes[run_id] = type(error).__name__
    else:
        outcomes[run_id] = "promoted"


def main(run_ids: list[str]) -> None:
    import boto3  # noqa: F401  once, before the processes part

    fork = multiprocessing.get_context("fork")
    with fork.Manager() as manager:
        barrier, outcomes = fork.Barrier(len(run_ids)), manager.dict()
        processes = [fork.Process(target=promote, args=(run_id, barrier, outcomes)) for run_id in run_ids]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        sys.stdout.write(json.dumps(dict(outcomes)))


if __name__ == "__main__":
    main(sys.argv[1:])
