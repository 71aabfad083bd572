import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_tasks.evaluation.comparison import Comparison, Difference, Pairs
from pneumo_tasks.evaluation.figures.paired_bound import films_needed, score_bound
from pneumo_tasks.promotion.deciding.steps import step_rules
from pneumo_tasks.promotion.protocol.budget import ErrorBudget, patients_needed
from tests.promotion.deciding.test_gate import LIMITS, PASSING

_COUNTS = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 2000))
SAME = Pairs(gained=0, lost=0, films=390)
BETTER, WORSE = Pairs(gained=3, lost=1, films=390), Pairs(gained=0, lost=1, films=390)
FAR_WORSE = Pairs(gained=0, lost=12, films=390)


def standing(recall: Pairs, specificity: Pairs = SAME, asked: int = 0, by_name: bool = True) -> str:
    return standing_of([{"recall": recall, "specificity": specificity}], asked, by_name)


def standing_of(versions: list[dict[str, Pairs]], asked: int, by_name: bool) -> str:
    """What the rules of the gate come to: is the candidate free, does it pay, or may it not be promoted?"""
    others = [other(f"v{n}", pairs) for n, pairs in enumerate(versions)]
    limits = LIMITS.model_copy(update={"sideways": "a new site" if by_name else ""})
    found = PASSING.model_copy(update={"champion": others[0], "original": None, "rivals": others[1:]})
    rules, spending = step_rules(limits, ErrorBudget(), found, asked)
    failed = {rule.name for rule in rules if rule.verdict == "fail"}
    if "error budget" in failed:
        return "spent"
    return "refused" if failed else "sideways" if spending.sideways else "free"


def other(version: str, pairs: dict[str, Pairs]) -> Comparison:
    assert PASSING.champion is not None
    values = {name: (pair.gained - pair.lost) / pair.films for name, pair in pairs.items()}
    differences = {name: Difference(value=v, low=v, high=v, bound=v) for name, v in values.items()}
    changed = {"version": version, "pairs": pairs, "differences": differences}
    return PASSING.champion.model_copy(update=changed)


def test_what_is_nowhere_below_costs_nothing() -> None:
    assert standing(BETTER, by_name=False) == "free"
    assert standing(SAME, SAME, asked=99, by_name=False) == "free"


def test_one_figure_below_one_version_is_no_free_step() -> None:
    assert standing(BETTER, WORSE, by_name=False) == "refused"
    versions = [{"recall": BETTER, "specificity": BETTER}, {"recall": WORSE, "specificity": BETTER}]
    assert standing_of(versions, 0, by_name=False) == "refused"


def test_a_small_step_down_is_paid_for_by_who_asks_for_it() -> None:
    assert standing(WORSE) == "sideways"
    assert standing(FAR_WORSE) == "refused"


def test_a_budget_that_is_spent_pays_for_no_step_and_lets_better_versions_through() -> None:
    budget = ErrorBudget()
    assert standing(WORSE, asked=budget.steps) == "spent"
    assert standing(BETTER, asked=budget.steps) == "free"
    assert budget.left(budget.steps) == 0


@given(st.integers(0, 20), st.integers(1, 1000), st.integers(0, 5000))
def test_new_test_patients_give_askings_back_and_never_take_one(asked: int, patients: int, new: int) -> None:
    budget = ErrorBudget()
    assert 0 <= budget.refill(asked, patients, new) <= asked
    assert budget.refill(asked, patients, 0) == asked
    assert budget.refill(budget.steps, patients, patients) == 0


@settings(deadline=None, max_examples=50)
@given(_COUNTS, st.integers(1, 50))
def test_more_steps_make_each_harder(counts: tuple[int, int, int], steps: int) -> None:
    gained, lost, more = counts
    change = Pairs(gained=gained, lost=lost, films=gained + lost + more)
    if ErrorBudget(steps=steps + 1).keeps("recall", change):
        assert ErrorBudget(steps=steps).keeps("recall", change)


@pytest.mark.parametrize("differ", [0.03, 0.045, 0.06])
@pytest.mark.parametrize("films", [200, 400, 800])
def test_all_askings_together_promote_a_version_worse_by_the_margin_within_the_budget(
    films: int, differ: float
) -> None:
    budget, random = ErrorBudget(), np.random.default_rng(3)
    loss = budget.margins["recall"]
    shares = [(differ - loss) / 2, (differ + loss) / 2, 1 - differ]
    drawn = random.multinomial(films, shares, 40_000)
    bound = score_bound(drawn[:, 0], drawn[:, 1], films, 2.2414)  # one-sided .0125
    assert np.mean(bound >= -loss) * budget.steps <= budget.total * 1.25


@settings(deadline=None, max_examples=25)
@given(st.floats(0.005, 0.2), st.floats(0.001, 0.2), st.floats(0, 0.1))
def test_the_plan_names_the_fewest_patients_that_pass(margin: float, level: float, differ: float) -> None:
    needed = patients_needed(margin, level, differ)
    budget = ErrorBudget(total=level, steps=1, margins={"recall": margin, "specificity": margin})

    def passes(patients: int) -> bool:
        half = differ * patients / 2
        return budget.keeps("recall", Pairs(gained=half, lost=half, films=patients))

    assert passes(needed)
    assert needed == 1 or not passes(needed - 1)


def test_the_plan_of_versions_that_never_differ_is_the_closed_form() -> None:
    assert patients_needed(0.02, 0.05) == films_needed(0.02) == 133
    assert ErrorBudget().patients_needed() == {"PNEUMONIA": 163, "NORMAL": 96}


@pytest.mark.parametrize("wrong", [{"margin": 0.0}, {"level": 1.0}, {"differ": -0.1}])
def test_a_plan_of_what_is_no_share_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be shares"):
        patients_needed(**{"margin": 0.02, "level": 0.05, "differ": 0.0, **wrong})
