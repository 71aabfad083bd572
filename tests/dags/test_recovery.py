"""The runbook, rehearsed: what failed is cleared, and the run goes on to its end."""

import pytest

from pneumo_tasks.promotion.moving.settling import settle
from pneumo_tasks.promotion.registry.champion import champion_summary
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.dags.stepped import SteppedAirflow, SteppedRun
from tests.evaluation.fixtures import story, tiny_models  # noqa: F401
from tests.evaluation.story import Story
from tests.promotion.judging import judge

ROLLBACK = "champion_rollback"


def _kill_and_clear(run: SteppedRun, task: str) -> None:
    if run.states().get(task) == "success":  # it does not wait for what was killed before
        run.clear(task, downstream=True)
    run.go_on(until=task)
    run.go_on(before={task: lambda run, ti: run.kill(ti, for_good=True)})
    assert run.state == "failed", (task, run.states())
    run.clear(task, downstream=True)


@pytest.mark.slow
def test_every_task_that_failed_goes_on_when_it_is_cleared(
    stepped: SteppedAirflow, store: ObjectStore, phantoms: None
) -> None:
    run = stepped.trigger("pneumonia_retraining", {"require_approval": True})
    tasks = [task.task_id for task in stepped.dags["pneumonia_retraining"].topological_sort()]
    for task in tasks:
        _kill_and_clear(run, task)
        if task == "approve_promotion":
            run.go_on()
            assert show_run(store, run.run_id).state == "waiting"
            run.answer(task, "promote", "looked at every miss")
    run.go_on()
    assert run.state == "success"
    found, champion = show_run(store, run.run_id), champion_summary(store)
    assert (found.state, found.decision) == ("success", "promoted")
    assert champion is not None
    assert champion["run_id"] == run.run_id


@pytest.fixture
def former(settings: Settings, story: Story) -> list[str]:  # noqa: F811
    """The versions of three promotions; the last is the champion."""
    found = []
    for number, model in enumerate(("good", "better", "good")):
        run_id = judge(settings, story, f"run-{number}", model)
        found.append(str(settle(settings, story.store, run_id).version))
    return found


def _choose(run: SteppedRun, version: str) -> None:
    run.go_on()
    run.answer("choose_version", version, "too many alarms")
    run.go_on()
    run.answer("approve_rollback", "roll back", "agreed")
    run.go_on()


@pytest.mark.slow
def test_a_rollback_that_failed_goes_on_when_it_is_cleared(
    stepped: SteppedAirflow, store: ObjectStore, former: list[str]
) -> None:
    run = stepped.trigger(ROLLBACK)
    for task in ("list_former_champions", "choose_version"):
        _kill_and_clear(run, task)
    run.go_on()
    run.answer("choose_version", former[1], "too many alarms")
    for task in ("check_choice", "approve_rollback"):
        _kill_and_clear(run, task)
    run.go_on()
    run.answer("approve_rollback", "roll back", "agreed")
    _kill_and_clear(run, "move_champion")
    run.go_on()
    assert run.state == "success"
    champion = champion_summary(store)
    assert champion is not None
    assert champion["version"] == former[1]
    assert run.note.endswith(f"rolled back to {former[1]}")


@pytest.mark.slow
def test_another_choice_in_a_rollback_that_is_done_is_refused_with_a_sentence(
    stepped: SteppedAirflow, store: ObjectStore, former: list[str]
) -> None:
    run = stepped.trigger(ROLLBACK)
    _choose(run, former[1])
    run.clear("choose_version", downstream=True)
    _choose(run, former[0])
    champion = champion_summary(store)
    assert champion is not None
    assert champion["version"] == former[1]
    assert run.states()["move_champion"] == "failed"
    assert run.state == "failed", "a rollback that did not happen is not green"
