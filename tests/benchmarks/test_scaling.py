"""Laws of the simulation behind docs/scaling.md."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling import (
    Costs,
    Overheads,
    Task,
    Week,
    between_tasks,
    compare,
    predicted_validation,
    simulate,
    weekly_run,
)

NONE = Overheads(dispatch=0.0, release=0.0)
SECONDS = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=12)


def test_two_workers_halve_equal_tasks_and_one_does_them_in_a_row() -> None:
    assert predicted_validation([10.0] * 8, 1, NONE) == pytest.approx(80)
    assert predicted_validation([10.0] * 8, 2, NONE) == pytest.approx(40)
    assert predicted_validation([10.0] * 8, 1, Overheads(1.0, 1.0)) == pytest.approx(8 * 10 + 7 * 1)


def test_idle_time_is_what_lies_between_two_tasks_of_the_same_worker() -> None:
    assert between_tasks([("a", 0, 10), ("b", 1, 11), ("a", 12, 20), ("b", 11.5, 20)]) == pytest.approx(1.25)
    assert between_tasks([("a", 0, 10)]) == 0


def test_two_workers_are_predicted_from_what_one_took() -> None:
    one = {"durations": [10.0] * 8, "gap": 2.0, "seconds": 94.0}
    found = compare(one, {"seconds": 50.0})
    assert [(row["workers"], row["simulated"], row["error"]) for row in found] == [
        (1, 94.0, 0.0),
        (2, 46.0, -0.08),
    ]


@given(SECONDS, st.integers(1, 5))
def test_no_schedule_beats_the_work_or_the_longest_task(seconds: list[float], workers: int) -> None:
    span = predicted_validation(seconds, workers, NONE)
    assert span >= max(sum(seconds) / workers, max(seconds)) - 1e-6
    assert span <= sum(seconds) / workers + max(seconds) + 1e-6


def test_a_task_waits_for_all_that_it_follows_and_for_a_slot_of_its_own_queue() -> None:
    tasks = [
        Task("a", "default", 5),
        Task("b", "default", 7),
        Task("c", "gpu", 1, ("a", "b")),
        Task("d", "gpu", 2),
    ]
    schedule = simulate(tasks, {"default": 2, "gpu": 1}, NONE)
    rows = {name: place for name, *place in schedule.rows}
    assert rows["c"] == ["gpu-0", 7, 8]
    assert rows["d"] == ["gpu-0", 0, 2]


@pytest.mark.parametrize(("default", "gpu"), [(1, 1), (4, 2), (16, 8)])
def test_a_run_does_every_task_once_on_a_slot_that_does_one_thing_at_a_time(default: int, gpu: int) -> None:
    tasks = weekly_run(Week(new=50_000, batches=50, old=10_000_000), Costs())
    schedule = simulate(tasks, {"default": default, "gpu": gpu}, Overheads())
    assert sorted(row[0] for row in schedule.rows) == sorted(task.name for task in tasks)
    for slot in {row[1] for row in schedule.rows}:
        spans = sorted((start, end) for _, own, start, end in schedule.rows if own == slot)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
