import pytest

from benchmarks import watch_year
from benchmarks.year import RULES, simulate


@pytest.mark.parametrize("grows", [False, True])
def test_a_year_with_the_error_budget_loses_no_three_points_where_the_gate_of_before_does(
    grows: bool,
) -> None:
    before = simulate(*RULES["the gate as it was"], drift=-0.004, grows=grows, years=60)
    budgeted = simulate(*RULES["with the error budget"], drift=-0.004, grows=grows, years=60)
    assert before["3 points of recall lost"] > 0.9
    assert budgeted["3 points of recall lost"] <= 0.05


def test_a_gain_is_found_within_four_weeks() -> None:
    found = simulate(*RULES["with the error budget"], drift=None, grows=False, years=100)
    assert found["gain promoted within four weeks"] >= 0.8


@pytest.mark.parametrize("story", ["nothing happens", "at the limit itself"])
def test_the_watch_raises_at_most_one_false_alarm_in_twenty_years(story: str) -> None:
    found = watch_year.simulate(story)
    assert found["false_alarms_a_year"] <= 0.05
    assert found["naive_alarms_a_year"] > 10


def test_a_sudden_loss_of_recall_is_found_within_the_year_and_later_where_labels_are_late() -> None:
    found = watch_year.simulate("sudden loss of 5 points of recall")
    late = watch_year.simulate("sudden loss of 5 points of recall, labels three times as late")
    assert found["found_within_the_year"] > 0.95
    assert found["weeks_median"] <= 14
    assert found["films_median"] == found["weeks_median"] * 100
    assert late["weeks_median"] > found["weeks_median"]
    assert late["found_within_the_year"] > 0.9
