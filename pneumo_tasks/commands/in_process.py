"""A run in this process: the stages one after the other, each tried again as Airflow would try its task."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pneumo_tasks import journal, pipeline
from pneumo_tasks.errors import PneumoError, RetryableError
from pneumo_tasks.promotion.protocol.governing import govern_run
from pneumo_tasks.run import Run

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TRIES = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0  # seconds; each pause is twice the one before


def new_run_id() -> str:
    return f"retrain__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:4]}"


def run_here(run: Run, params: Mapping[str, Any], by: str) -> PneumoError | None:
    """Run every stage and close the run; returns the error that ended it early, None where none did.

    The run's journal is that of a DAG run: what began, what took how long, and what failed for good.
    """
    try:
        _run_stages(run, params, by)
    except PneumoError as error:
        return error
    finally:  # also where a person interrupts it: the list of runs then says that it was stopped
        pipeline.close(run)
    return None


def _run_stages(run: Run, params: Mapping[str, Any], by: str) -> None:
    run = replace(run, settings=govern_run(run.settings, run.store, run.run_id).settings)
    found = _tried(run, "discover_batches", lambda: pipeline.discover(run, params, by))
    for place, batch_id in enumerate(found.batches):
        with suppress(PneumoError):  # it stops no other batch; where nothing else is new, assembling says so
            _tried(run, "validate_batch", partial(pipeline.validate, run, batch_id), place)
    assembled = _tried(run, "assemble_dataset", lambda: pipeline.assemble(run))
    if assembled.snapshot is None:
        return
    snapshot = assembled.snapshot.snapshot_id
    run = run.after(assembled.snapshot)
    run = run.after(_tried(run, "compute_class_balance", partial(pipeline.balance, run, snapshot)))
    for place, shard_id in enumerate(assembled.snapshot.shards):
        extract = partial(pipeline.extract, run, snapshot, shard_id)
        run = run.after(_tried(run, "extract_features", extract, place))
    _tried(run, "score_unseen", partial(pipeline.score_unseen, run, snapshot))
    run = run.after(_tried(run, "train_head", partial(pipeline.train, run, snapshot)))
    run = run.after(_tried(run, "fine_tune_block5", partial(pipeline.tune, run, snapshot)))
    run = run.after(_tried(run, "export_candidate", partial(pipeline.export, run, snapshot)))
    evaluated = _tried(run, "evaluate_candidate", partial(pipeline.evaluate, run, snapshot))
    decided = _tried(run, "decide_promotion", partial(pipeline.decide, run, snapshot, evaluated))
    _tried(run, "write_report", lambda: pipeline.report(run))
    if pipeline.ask(run, decided, typed=True):
        return  # nobody is here: `pneumo models approve` answers
    _tried(run, "promote_model", lambda: pipeline.promote(run, decided))


def _tried(run: Run, task: str, work: Callable[[], Result], place: int = -1) -> Result:
    """What the stage came to; a RetryableError is tried again, what is left over is written down."""
    for number in range(1, TRIES + 1):
        journal.record_begin(run.store, run.run_id, journal.Attempt(task, place, number))
        log.info("%s%s", task, f" {place + 1}" if place >= 0 else "")
        try:
            return work()
        except RetryableError as error:
            if number == TRIES:
                _record(run, task, error, place, number)
                raise
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (number - 1))
            log.warning("%s: %s Another try in %.0f s.", task, error, pause)
            time.sleep(pause)
        except Exception as error:
            _record(run, task, error, place, number)
            raise
    raise AssertionError("unreachable")


def _record(run: Run, task: str, error: Exception, place: int, number: int) -> None:
    log.error("%s: %s", task, error)
    with suppress(PneumoError):  # the store itself may be what is away; the first error is the one to hear of
        journal.record_failure(run.store, run.run_id, task, str(error), place, number)
