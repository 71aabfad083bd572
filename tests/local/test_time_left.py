from typing import Any

import pytest

from pneumo_tasks.local.time_left import STAGES, in_words, seconds_left

FILMS = 300
COST = {name: fixed + each * FILMS for name, (fixed, each) in STAGES.items()}


def _run(last: str, *running: str) -> list[dict[str, Any]]:
    names = list(STAGES)
    ended = names[: names.index(last) + 1]
    return [{"task_id": name, "state": "success"} for name in ended] + [
        {"task_id": name, "state": "running"} for name in running
    ]


def _left(last: str, pace: float, *running: str, into: float = 0.0) -> float | None:
    names = list(STAGES)
    since = pace * sum(COST[name] for name in names[: names.index(last) + 1])
    return seconds_left(_run(last, *running), FILMS, since, since + into)


def test_nothing_is_told_before_two_stages_have_shown_how_fast_this_machine_is() -> None:
    assert _left("discover_batches", 1, "validate_batch") is None
    assert _left("validate_batch", 1) is not None


@pytest.mark.parametrize("pace", [1.0, 3.0])
def test_the_time_left_is_that_of_all_stages_to_come_at_this_machine_s_pace(pace: float) -> None:
    names = list(STAGES)
    for place, last in enumerate(names[1:], start=1):
        assert _left(last, pace) == pytest.approx(pace * sum(COST[name] for name in names[place + 1 :]))
    into = 10.0
    assert _left("validate_batch", pace, into=into) == pytest.approx(_left("validate_batch", pace) - into)


def test_a_mapped_stage_has_ended_when_all_its_tasks_have() -> None:
    half = [*_run("validate_batch"), {"task_id": "validate_batch", "state": "running"}]
    assert seconds_left(half, FILMS, 20, 20) is None


def test_the_time_is_never_less_than_nothing_and_a_person_s_time_is_not_foretold() -> None:
    assert _left("train_head", 1, into=9999) == 0
    asked = [*_run("ask_for_approval"), {"task_id": "approve_promotion", "state": "deferred"}]
    assert seconds_left(asked, FILMS, 100, 100) is None


def test_a_time_is_said_no_finer_than_it_is_known() -> None:
    assert [in_words(seconds) for seconds in (0, 63, 130, 3000)] == ["5 s", "65 s", "2 min", "50 min"]
