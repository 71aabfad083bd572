"""What an operator or Airflow does to a run, and what its note, the pages and the bucket then say."""

from datetime import timedelta

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

from pneumo_tasks import journal
from pneumo_tasks.promotion.erasing.retention import prune
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.registry.champion import champion_summary
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.promotion.runs.runs import RunSummary, show_run
from pneumo_tasks.promotion.runs.waiting import ask
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.dags.stepped import SteppedAirflow, SteppedRun, timezone_now

# Its runs and assets stay in the database of the process, which the tests of the pages share.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAG = "pneumonia_retraining"
RUNNING = '<td class="decision ">running</td>'


@pytest.fixture
def run(stepped: SteppedAirflow, store: ObjectStore) -> SteppedRun:
    """A run that has begun, and has half of a candidate."""
    begun = stepped.trigger(DAG)
    begun.go_on(until="assemble_dataset")
    store.put(layout.run(begun.run_id, "candidate.keras"), b"half of a candidate")
    return begun


def seen(run: SteppedRun, store: ObjectStore) -> tuple[RunSummary, str, str]:
    """The run as the bucket has it, and the pages of the list and of the run."""
    (listed,) = list_runs(store)
    assert listed == show_run(store, run.run_id)
    get = run.airflow.api.get
    return listed, get("/pneumo/").text, get("/pneumo/run", params={"run_id": run.run_id}).text


def test_a_run_that_is_marked_as_failed_ends_as_stopped_by_a_name(
    run: SteppedRun, store: ObjectStore
) -> None:
    assert RUNNING in seen(run, store)[1]
    run.mark_run("failed")
    run.go_on()
    assert run.state == "failed"
    found, page, own = seen(run, store)
    assert (found.state, found.decision) == ("stopped", None)
    assert "the run was marked as failed by admin (20" in found.reason
    assert found.reason in page
    assert found.reason in own
    assert prune(store, keep=0, dry_run=True).runs == [run.run_id]


def test_a_run_that_is_marked_as_successful_is_not_green(run: SteppedRun, store: ObjectStore) -> None:
    run.mark_run("success")
    run.go_on()
    assert run.state == "failed"
    assert "marked as success by admin" in seen(run, store)[0].reason


def test_a_run_whose_time_ran_out_is_stopped_though_no_last_task_ran(
    run: SteppedRun, store: ObjectStore
) -> None:
    run.time_out()
    assert (run.state, run.states()["close_run"]) == ("failed", "skipped")
    found, page, _ = seen(run, store)
    assert found.state == "stopped"
    assert found.reason in page
    assert "its time limit ran out" in run.note
    assert prune(store, keep=0, dry_run=True).runs == [run.run_id]


def test_a_run_whose_last_task_was_marked_is_stopped_by_a_name(run: SteppedRun, store: ObjectStore) -> None:
    run.mark("assemble_dataset", "failed")
    run.go_on(before={"close_run": lambda run, ti: run.mark(ti.task_id, "success")})
    assert "close_run was marked as success by admin" in seen(run, store)[0].reason


def test_a_task_that_was_killed_until_no_try_was_left_is_named(run: SteppedRun, store: ObjectStore) -> None:
    run.go_on(before={"assemble_dataset": lambda run, ti: run.kill(ti, for_good=True)})
    assert run.state == "failed"
    assert "assemble_dataset failed and could not say why" in seen(run, store)[0].reason


def test_a_task_that_took_too_long_says_its_limit(run: SteppedRun, store: ObjectStore) -> None:
    run.go_on(before={"assemble_dataset": lambda run, ti: run.overrun(ti)})
    found = seen(run, store)[0]
    assert (found.state, found.reason) == ("failed", "assemble_dataset took longer than its limit of 0:00:01")


def test_the_pages_ask_airflow_where_the_bucket_was_not_told(
    run: SteppedRun, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pneumo_airflow.run_notes.tell_bucket", lambda *_: None)  # the bucket was away
    run.time_out()
    found, page, own = seen(run, store)
    assert found.state == "running"
    assert RUNNING not in page
    assert "Airflow ended it as failed" in page
    assert "Airflow ended it as failed" in own


def test_a_run_that_was_silent_goes_on_where_airflow_says_so(
    run: SteppedRun, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pneumo_tasks.promotion.runs.state.SILENCE", timedelta(seconds=-1))
    found, page, _ = seen(run, store)
    assert found.state == "lost-contact"
    assert RUNNING in page


def test_nothing_is_built_on_a_task_that_was_only_marked_as_successful(
    run: SteppedRun, store: ObjectStore
) -> None:
    run.go_on(before={"assemble_dataset": lambda run, ti: run.mark(ti.task_id, "success")})
    assert run.state == "failed"
    found = seen(run, store)[0]
    assert found.state == "failed"
    assert "assemble_dataset handed nothing over" in found.reason


def test_a_task_without_its_pool_or_its_worker_is_named_while_the_run_goes_on(
    stepped: SteppedAirflow, store: ObjectStore, phantoms: None
) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    stepped.api.delete("/api/v2/pools/gpu")
    run = stepped.trigger(DAG)
    run.go_on(until="extract_features")
    _, page, own = seen(run, store)
    for text in (page, own):
        assert "extract_features cannot begin: Airflow has no pool gpu" in text
        assert "airflow pools set gpu 1" in text
    stepped.call("POST", "/pools", {"name": "gpu", "slots": 1, "description": ""})
    assert "cannot begin" not in seen(run, store)[2]
    with create_session() as session:
        mine = (TaskInstance.run_id == run.run_id, TaskInstance.task_id == "extract_features")
        then = timezone_now() - timedelta(minutes=11)
        session.execute(update(TaskInstance).where(*mine).values(state="queued", queued_dttm=then))
    assert "for a worker of the queue gpu" in seen(run, store)[2]
    assert stepped.api.delete("/api/v2/pools/gpu").status_code == 204


@pytest.mark.parametrize("run_id", ["_x", "~x", "retry:1", "retry+1"])
def test_every_run_id_that_airflow_allows_is_listed_under_its_name(
    stepped: SteppedAirflow, store: ObjectStore, run_id: str
) -> None:
    run = stepped.trigger(DAG, dag_run_id=run_id)
    run.go_on()
    assert run.state == "success"
    assert [one.run_id for one in list_runs(store)] == [run_id]
    assert "nothing new" in seen(run, store)[2].replace("nothing-new", "nothing new")


def test_a_run_id_that_no_folder_can_have_is_refused_when_the_run_is_triggered(
    stepped: SteppedAirflow, store: ObjectStore
) -> None:
    for run_id in ("x" * 240, "compare.1.vgg16"):
        body = {"logical_date": None, "dag_run_id": run_id}
        answer = stepped.api.post(f"/api/v2/dags/{DAG}/dagRuns", json=body)
        assert answer.status_code == 400, answer.text
        assert "run id" in answer.json()["detail"]


def test_a_run_whose_time_runs_out_while_it_waits_for_a_person_frees_its_candidate(
    run: SteppedRun, store: ObjectStore
) -> None:
    approved = Decision.model_validate({
        "run_id": run.run_id, "decision": "approved", "reason": "all rules passed", "rules": [],
        "snapshot_id": None, "version": "v1", "decided_at": journal.now(),
    })  # fmt: skip
    store.put_json(layout.run(run.run_id, "decision.json"), approved.model_dump(mode="json"))
    ask(store, run.run_id, hours=48)
    assert seen(run, store)[0].state == "waiting"
    run.time_out()
    found, page, _ = seen(run, store)
    assert (found.state, found.decision) == ("stopped", None)
    assert found.reason in page
    assert prune(store, keep=0, dry_run=True).runs == [run.run_id]
    assert champion_summary(store) is None


def test_three_paused_weeks_are_caught_up_by_one_run() -> None:
    from pneumo_airflow.timetables import WeeklyRuns

    now = pendulum.now("UTC")
    begun = TimeRestriction(earliest=now.subtract(weeks=9), latest=None, catchup=False)
    last = DataInterval.exact(now.subtract(weeks=3))
    moments = []
    for _ in range(2):
        coming = WeeklyRuns("0 3 * * 0", timezone="UTC").next_dagrun_info(
            last_automated_data_interval=last, restriction=begun
        )
        assert coming is not None
        moments.append(coming.run_after)
        last = coming.data_interval
    assert now.subtract(weeks=1) < moments[0] <= now < moments[1]
