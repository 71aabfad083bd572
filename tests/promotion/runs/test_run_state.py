"""How a run stands is said by its newest fact."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from pneumo_tasks import journal
from pneumo_tasks.journal import Attempt
from pneumo_tasks.promotion.erasing.retention import prune
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.runs.index import close_ended, enter_missing, enter_run, list_runs
from pneumo_tasks.promotion.runs.runs import read_facts, show_run
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

RUN = "weekly"


def begin(store: ObjectStore, task: str, number: int = 1, place: int = -1) -> None:
    journal.record_begin(store, RUN, Attempt(task, place, number))


def decide(store: ObjectStore, decision: str = "approved", decided_at: str = "", **facts: object) -> None:
    found = Decision.model_validate({
        "run_id": RUN, "decision": decision, "reason": "all rules passed", "rules": [], "snapshot_id": None,
        "version": "v1", "decided_at": decided_at or journal.now(), **facts,
    })  # fmt: skip
    store.put_json(layout.run(RUN, "decision.json"), found.model_dump(mode="json"))


@pytest.fixture
def failed(store: ObjectStore) -> ObjectStore:
    journal.record_start(store, RUN, {})
    begin(store, "train_head")
    journal.record_failure(store, RUN, "train_head", "the worker was lost")
    assert close_ended(store, RUN).state == "failed"
    return store


def test_a_failure_counts_until_its_task_is_tried_again(failed: ObjectStore) -> None:
    begin(failed, "extract_features", place=3)  # another task that went on meanwhile
    assert show_run(failed, RUN).reason == "the worker was lost"
    begin(failed, "train_head", 2)
    assert show_run(failed, RUN).state == "running"
    journal.record_failure(failed, RUN, "train_head", "lost again", number=2)
    assert show_run(failed, RUN).reason == "lost again"


def test_the_list_follows_a_run_that_was_cleared_and_waits_for_approval(failed: ObjectStore) -> None:
    assert [run.state for run in list_runs(failed)] == ["failed"]
    begin(failed, "train_head", 2)
    decide(failed)
    (run,) = list_runs(failed)
    assert (run.state, run.reason, run.approved) == ("running", "all rules passed", True)


def test_the_failure_of_one_mapped_task_is_not_cleared_by_another(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    begin(store, "extract_features", place=1)
    journal.record_failure(store, RUN, "extract_features", "no memory", place=1)
    begin(store, "extract_features", 2, place=2)
    assert show_run(store, RUN).state == "failed"
    begin(store, "extract_features", 2, place=1)
    assert show_run(store, RUN).state == "running"


def test_a_failure_is_over_where_the_run_was_cleared_from_an_earlier_task_on(failed: ObjectStore) -> None:
    time.sleep(1.1)  # a store may keep whole seconds
    begin(failed, "extract_features", 2, place=0)
    assert show_run(failed, RUN).state == "running"
    journal.record_failure(failed, RUN, "extract_features", "no memory", place=0, number=2)
    assert show_run(failed, RUN).reason == "no memory"


def test_prune_keeps_the_candidate_of_a_run_that_waits_though_it_failed_before(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    store.put(layout.run(RUN, "candidate.keras"), b"weights")
    old = {"task": "train_head", "reason": "lost", "at": "2026-11-20T03:00:00+00:00"}
    store.put_json(layout.run(RUN, "failure.json"), old)  # as older releases wrote it
    decide(store, decided_at="2026-11-22T03:00:00+00:00")
    assert show_run(store, RUN).state == "running"
    assert prune(store, keep=0, dry_run=False).objects == 0
    journal.record_failure(store, RUN, "promote_model", "the store was away")
    assert show_run(store, RUN).state == "failed"  # after the gate said yes: clearing the task promotes it
    store.put_json(layout.run_entry(RUN), show_run(store, RUN).model_dump(mode="json", exclude={"approved"}))
    assert prune(store, keep=0, dry_run=False).objects == 0
    decide(store, "rejected")
    assert prune(store, keep=0, dry_run=False).objects == 1


def test_a_run_that_was_stopped_is_shown_as_stopped_and_frees_its_candidate(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    store.put(layout.run(RUN, "candidate.keras"), b"weights")
    begin(store, "train_head")
    decide(store)
    assert close_ended(store, RUN).state == "stopped"
    assert [run.state for run in list_runs(store)] == ["stopped"]
    assert prune(store, keep=0, dry_run=True).runs == [RUN]
    begin(store, "train_head", 2)
    assert show_run(store, RUN).state == list_runs(store)[0].state == "running"


def test_a_run_that_settled_something_is_not_called_stopped(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    decide(store, "nothing-new")
    assert close_ended(store, RUN).decision == "nothing-new"
    assert not store.exists(layout.run(RUN, "stopped.json"))


def test_a_run_that_nothing_is_heard_of_is_lost_contact_and_may_be_pruned(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {"approval_hours": 48})
    begin(store, "train_head")

    def after(hours: int) -> str:
        return read_facts(store, RUN).state(datetime.now(UTC) + timedelta(hours=hours)).state

    assert (after(23), after(25)) == ("running", "lost-contact")
    decide(store)
    assert (after(71), after(73)) == ("running", "lost-contact")  # a person may take two days


def test_a_promotion_of_another_version_does_not_promote_this_one(store: ObjectStore) -> None:
    journal.record_start(store, RUN, {})
    store.put_json(layout.run(RUN, "promotion.json"), {"version": "v0", "run_id": RUN})
    decide(store)
    assert show_run(store, RUN).state == "running"
    decide(store, version="v0")
    assert show_run(store, RUN).decision == "promoted"


def test_a_run_that_ended_again_is_entered_again(failed: ObjectStore) -> None:
    begin(failed, "train_head", 2)
    decide(failed, "rejected")
    assert enter_missing(failed) == 1
    assert list_runs(failed)[0].decision == enter_run(failed, RUN).decision == "rejected"
