from pathlib import Path

import pytest

from pneumo_tasks import journal, pipeline
from pneumo_tasks.commands import in_process
from pneumo_tasks.commands.in_process import TRIES, new_run_id, run_here
from pneumo_tasks.errors import BadConfiguration, BadData, StorageUnavailable
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.films import good_files, write


@pytest.fixture
def run(settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(in_process, "_FIRST_PAUSE", 0.0)
    return Run(settings, store, new_run_id())


def _tries(run: Run) -> dict[str, int]:
    return journal.tries(run.store.list_objects(layout.run(run.run_id, "begun/")))


def test_a_run_in_this_process_is_listed_like_any_other(run: Run) -> None:
    assert run_here(run, {"force": True}, by="anna, pneumo retrain") is None
    (listed,) = list_runs(run.store)
    assert (listed.run_id, listed.state, listed.decision) == (run.run_id, "success", "nothing-new")
    assert (listed.started_by, listed.stages[0]["name"]) == ("anna, pneumo retrain", "discover_batches")


def test_a_stage_that_may_succeed_later_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found, failures = pipeline.discover, [StorageUnavailable("away"), StorageUnavailable("away")]

    def unsteady(*given: object) -> object:
        if failures:
            raise failures.pop()
        return found(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "discover", unsteady)
    assert run_here(run, {}, by="anna") is None
    assert _tries(run) == {"discover_batches~-1": 3, "assemble_dataset~-1": 1}
    assert show_run(run.store, run.run_id).state == "success"


def test_a_stage_that_stays_away_ends_the_run_with_an_error_that_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> object:
        raise StorageUnavailable("the store is away")

    monkeypatch.setattr(pipeline, "assemble", away)
    assert isinstance(run_here(run, {}, by="anna"), StorageUnavailable)
    assert _tries(run)["assemble_dataset~-1"] == TRIES
    ended = show_run(run.store, run.run_id)
    assert (ended.state, ended.reason) == ("failed", "the store is away")


def test_an_error_that_another_try_cannot_help_ends_the_run_at_once(run: Run) -> None:
    error = run_here(run, {"head_epochs": 3}, by="anna")
    assert isinstance(error, BadConfiguration)
    assert _tries(run) == {"discover_batches~-1": 1}
    assert show_run(run.store, run.run_id).reason == str(error)


def test_a_batch_whose_validation_fails_stops_no_other_and_is_not_forgotten(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch_id, start in (("b1", 0), ("b2", 50)):
        upload_batch(
            run.settings, run.store, write(tmp_path / batch_id, good_files(6, start)), batch_id, "train"
        )
    judged, validate = [], pipeline.validate

    def fails_on_the_first(run: Run, batch_id: str) -> object:
        judged.append(batch_id)
        if batch_id == "b1":
            raise BadData("a defect")
        return validate(run, batch_id)

    monkeypatch.setattr(pipeline, "validate", fails_on_the_first)
    error = run_here(run, {}, by="anna")
    assert judged == ["b1", "b2"]
    assert isinstance(error, BadData), "the films of b2 alone have no test set"


def test_a_run_that_a_person_interrupts_is_listed_as_stopped(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "assemble", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_here(run, {}, by="anna")
    assert show_run(run.store, run.run_id).state == "stopped"
