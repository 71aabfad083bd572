import pytest

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
