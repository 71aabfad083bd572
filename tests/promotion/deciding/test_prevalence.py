import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.promotion.deciding.gate import judge
from pneumo_tasks.promotion.deciding.prevalence import net_benefit, precision_at, precision_interval
from tests.promotion.deciding.test_gate import LIMITS, PASSING

_SHARES = st.floats(0.01, 0.99)


@given(_SHARES, _SHARES, _SHARES, st.floats(0, 0.009))
def test_the_interval_holds_its_figure_and_grows_with_those_it_is_made_of(
    recall: float, specificity: float, prevalence: float, half: float
) -> None:
    def around(share: float, wide: float) -> Interval:
        return Interval(low=max(0.0, share - wide), high=min(1.0, share + wide))

    found = precision_at(recall, specificity, prevalence)
    narrow, wide = (
        precision_interval((recall, around(recall, h)), (specificity, around(specificity, h)), prevalence)
        for h in (half, half + 0.0005)
    )
    assert found is not None
    assert narrow is not None
    assert wide is not None
    assert wide.low <= narrow.low <= found + 1e-9
    assert found - 1e-9 <= narrow.high <= wide.high + 1e-9


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """400 ill and 250 healthy films, recall .95, specificity .9, prevalence 5 %: Wilson's ends together."""
    random, held, repeats = np.random.default_rng(5), 0, 2000
    truth = precision_at(0.95, 0.9, 0.05)
    assert truth is not None
    for _ in range(repeats):
        ill, healthy = random.binomial(400, 0.95) / 400, random.binomial(250, 0.9) / 250
        found = precision_interval((ill, wilson(ill, 400)), (healthy, wilson(healthy, 250)), 0.05)
        held += found is not None and found.low <= truth <= found.high
    assert 0.93 <= held / repeats <= 0.98


def wilson(share: float, films: int) -> Interval:
    z = 1.96
    centre = (share + z**2 / (2 * films)) / (1 + z**2 / films)
    half = z / (1 + z**2 / films) * (share * (1 - share) / films + z**2 / (4 * films**2)) ** 0.5
    return Interval(low=centre - half, high=centre + half)


def test_no_false_alarm_at_all_still_has_an_interval() -> None:
    ends = precision_interval((0.95, Interval(low=0.9, high=0.98)), (1.0, Interval(low=0.96, high=1.0)), 0.1)
    assert ends is not None
    assert ends.low == pytest.approx(precision_at(0.9, 0.96, 0.1))
    assert ends.high == 1


def test_net_benefit_is_that_of_calling_all_ill_or_none_at_the_ends() -> None:
    assert net_benefit(0.0, 1.0, 0.3, 0.2) == 0
    assert net_benefit(1.0, 0.0, 0.3, 0.2) == pytest.approx(0.3 - 0.7 * 0.25)
    assert net_benefit(None, 0.9, 0.3, 0.2) is None


def test_floors_that_the_class_mix_cannot_move_are_judged_where_they_are_set() -> None:
    asked = LIMITS.model_copy(
        update={"min_specificity": 0.5, "min_precision_at_prevalence": 0.5, "stated_prevalence": 0.05}
    )
    poor = PASSING.test.model_copy(update={"recall": 0.95, "specificity": 0.9})
    rules = {rule.name: rule for rule in judge(asked, PASSING.model_copy(update={"test": poor}))}
    assert rules["test specificity"].verdict == "pass"
    rule = rules["precision at a prevalence of 5 %"]
    assert (rule.verdict, rule.value) == ("fail", pytest.approx(1 / 3))  # whatever precision on the set is
    assert rules["test precision"].verdict == "pass"
    assert not [name for name in (rule.name for rule in judge(LIMITS, PASSING)) if "prevalence" in name]
