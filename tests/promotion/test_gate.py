import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.promotion.gate import at_least, at_most

_SHARES = st.floats(0, 1)


def test_a_value_on_its_limit_passes_with_no_margin() -> None:
    rule = at_least("test recall", 0.94, 0.94, "why")
    assert (rule.verdict, rule.margin) == ("pass", 0)


def test_the_margin_says_how_far_inside_or_outside() -> None:
    assert at_least("recall", 0.97, 0.94, "").margin == pytest.approx(0.03)
    assert at_least("recall", 0.9, 0.94, "").margin == pytest.approx(-0.04)
    assert at_most("seconds", 2.0, 3.0, "").margin == pytest.approx(1.0)
    assert at_most("seconds", 4.0, 3.0, "").verdict == "fail"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", [at_least, at_most])
def test_a_missing_or_non_finite_value_fails(rule: object, value: float | None) -> None:
    judged = rule("recall", value, 0.0, "why")  # type: ignore[operator]
    assert judged.verdict == "fail"
    assert judged.value is None
    assert judged.why.startswith("no finite value")


@given(_SHARES, _SHARES, _SHARES)
def test_a_better_value_never_turns_a_pass_into_a_fail(value: float, limit: float, gain: float) -> None:
    if at_least("recall", value, limit, "").verdict == "pass":
        assert at_least("recall", value + gain, limit, "").verdict == "pass"
    if at_most("seconds", value, limit, "").verdict == "pass":
        assert at_most("seconds", value - gain, limit, "").verdict == "pass"
