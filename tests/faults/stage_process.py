"""A worker whose tasks a test may kill: it forks a process for each stage that it is told to run.

It has imported what stages need, as a scheduler's worker has, so a task begins at once. A line that it reads
is a JSON object: ``stage``, ``environment`` and ``folder``, which keeps what one task tells the next, and the
traceback of one that failed. It answers with the pid of the task, which leads a session of its own, and then
with how it ended.
"""

import atexit
import dataclasses
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pneumo_tasks import pipeline
from pneumo_tasks.dataset.snapshots import SnapshotRef
from pneumo_tasks.errors import RetryableError
from pneumo_tasks.evaluation import evaluation, serving  # noqa: F401
from pneumo_tasks.intake import validation  # noqa: F401
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.promotion.judgement import Decided
from pneumo_tasks.promotion.moving import settling  # noqa: F401
from pneumo_tasks.promotion.report import report  # noqa: F401
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training import recipes
from pneumo_tasks.training.export import exporting  # noqa: F401

RUN_ID, SIDE, RECIPE = "weekly", 48, "small-fine-tuned"
DONE, FAILED, RETRY = 0, 1, 75


def small_run() -> Run:
    """The run of a history, with a recipe that a test has time for."""
    base = recipes.RECIPES["vgg16-block5"]
    recipes.RECIPES[RECIPE] = dataclasses.replace(base, name=RECIPE, image_size=SIDE)
    chosen = {"recipe": RECIPE, "head_epochs": 1, "fine_tune_epochs": 1, "precision": "float32"}
    settings = Settings.load({**chosen, "export_onnx": False})
    return Run(settings, ObjectStore.connect(settings), RUN_ID)


def _upload(run: Run, folder: Path, batch_id: str) -> None:
    upload_batch(run.settings, run.store, folder / batch_id, batch_id, "train" if batch_id == "a" else "test")


def _assemble(run: Run, folder: Path) -> None:
    found = pipeline.assemble(run).snapshot
    assert found is not None
    (folder / "snapshot.json").write_text(found.model_dump_json())


def _snapshot(folder: Path) -> SnapshotRef:
    return SnapshotRef.model_validate_json((folder / "snapshot.json").read_bytes())


def _extract(run: Run, folder: Path) -> None:
    found = _snapshot(folder)
    for shard_id in found.shards:
        pipeline.extract(run, found.snapshot_id, shard_id)


def _decide(run: Run, folder: Path) -> None:
    decided = pipeline.decide(run, _snapshot(folder).snapshot_id)
    (folder / "decided.json").write_text(decided.model_dump_json())


def _promote(run: Run, folder: Path) -> None:
    pipeline.promote(run, Decided.model_validate_json((folder / "decided.json").read_bytes()))


def _on_snapshot(stage: Callable[[Run, str], object]) -> Callable[[Run, Path], object]:
    return lambda run, folder: stage(run, _snapshot(folder).snapshot_id)


# What happens in a history, in order; the batches "a" and "b" lie below the folder.
STAGES: dict[str, Callable[[Run, Path], object]] = {
    "upload a": lambda run, folder: _upload(run, folder, "a"),
    "upload b": lambda run, folder: _upload(run, folder, "b"),
    "discover": lambda run, _: pipeline.discover(run, {}, "anna"),
    "validate a": lambda run, _: pipeline.validate(run, "a"),
    "validate b": lambda run, _: pipeline.validate(run, "b"),
    "assemble": _assemble,
    "balance": _on_snapshot(pipeline.balance),
    "extract": _extract,
    "train": _on_snapshot(pipeline.train),
    "tune": _on_snapshot(pipeline.tune),
    "export": _on_snapshot(pipeline.export),
    "evaluate": _on_snapshot(pipeline.evaluate),
    "decide": _decide,
    "report": lambda run, _: pipeline.report(run),
    "promote": _promote,
    "close": lambda run, _: pipeline.close(run),
}


def _task(line: dict[str, Any]) -> int:
    """One task, in its own process: how it ended, as an exit code."""
    os.setsid()
    os.environ |= line["environment"]
    tempfile.tempdir = None  # the worker's own
    try:
        STAGES[line["stage"]](small_run(), Path(line["folder"]))
    except BaseException as error:  # noqa: BLE001 - the worker goes on, as a scheduler's does
        (Path(line["folder"]) / "error.txt").write_text(traceback.format_exc())
        return RETRY if isinstance(error, RetryableError) else FAILED
    return DONE


def main() -> None:
    import great_expectations  # noqa: F401 - the worker has imported what its tasks need
    import keras  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    for text in sys.stdin:
        pid = os.fork()
        if not pid:
            atexit._clear()  # as the processes of Airflow's tasks begin, and end
            ended = _task(json.loads(text))
            atexit._run_exitfuncs()
            os._exit(ended)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
