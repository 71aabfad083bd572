"""The error budget as rules of the gate: a candidate below no earlier version is free, any other pays.

A *sideways step* is asked for by name (the run's param ``sideways``: a new site, a withdrawn source). Each
asking is an object in the bucket and spends its part of the budget, granted or not.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.evaluation.comparison import Comparison
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.promotion.deciding.gate import at_least
from pneumo_tasks.promotion.protocol.budget import ErrorBudget
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.promotion.spending import Spending
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

FIGURES = ("recall", "specificity")


class Asking(BaseModel):
    """error-budget/<run>.json: a run asked for a sideways step, with so many test patients of each class."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    sideways: str
    test_set_id: str
    test_patients: dict[str, int]
    at: str


def step_rules(
    settings: Settings, budget: ErrorBudget, evaluation: Evaluation, asked: int
) -> tuple[list[Rule], Spending]:
    """The rules on steps down, and the budget after them; ``asked`` earlier askings still count."""
    others = [other for other in (evaluation.champion, evaluation.original, *evaluation.rivals) if other]
    rules = [_free(settings, others, name) for name in FIGURES] if others else []
    pays = bool(settings.sideways) and not settings.dry_run and any(r.verdict == "fail" for r in rules)
    if pays:
        rules = [*_sideways(settings.sideways, budget, others), _affordable(budget, asked)]
    spent = min(budget.steps, asked + pays)
    spending = Spending(
        total=budget.total,
        level=budget.level,
        asked=asked + pays,
        left=budget.left(spent),
        sideways=settings.sideways if pays else "",
        refill={label: math.ceil(n / budget.steps) for label, n in evaluation.test_patients.items()},
    )
    return [rule.model_copy(update={"why": f"{rule.why}; {spending.sentence}"}) for rule in rules], spending


def past_askings(store: ObjectStore, but: str) -> list[Asking]:
    """Every asking of another run than ``but``, the oldest first: one listing, one read each asking."""
    keys = [found.key for found in store.list_objects(layout.ERROR_BUDGET) if is_asking(found.key)]
    with understood(layout.ERROR_BUDGET):
        found = [Asking.model_validate(store.read_json(key)) for key in keys]
    return sorted((asking for asking in found if asking.run_id != but), key=lambda asking: asking.at)


def is_asking(key: str) -> bool:
    """Whether ``key`` has the name of an asking; notes of people have not."""
    name = key.removeprefix(layout.ERROR_BUDGET)
    return name.endswith(".json") and layout.is_run_key(name.removesuffix(".json"))


def still_counting(budget: ErrorBudget, askings: Sequence[Asking], today: Mapping[str, int]) -> int:
    """How many askings count with the test patients of ``today``: the class that grew least decides."""
    if not askings:
        return 0
    before = {label: number for label, number in askings[0].test_patients.items() if number > 0}
    left = [
        budget.refill(len(askings), number, max(0, today.get(label, 0) - number))
        for label, number in before.items()
    ]
    return max(left, default=len(askings))


def record_asking(store: ObjectStore, evaluation: Evaluation, sideways: str) -> None:
    """Write the asking before its outcome is known; the same run asks once, however often it is judged."""
    asking = Asking(
        run_id=evaluation.run_id,
        sideways=sideways,
        test_set_id=evaluation.test_set_id,
        test_patients=evaluation.test_patients,
        at=journal.now(),
    )
    store.put_once(layout.asking(evaluation.run_id), canonical_json(asking.model_dump()))


def _free(settings: Settings, others: Sequence[Comparison], name: str) -> Rule:
    """At the point estimate, on the same films: that is what a year of small losses cannot walk down."""
    found = [other.differences.get(name) for other in others]
    values = [difference.value for difference in found if difference]
    lowest = min(values) if len(values) == len(others) else None
    why = (
        f"below none of {', '.join(other.version for other in others)}; a step down needs a name "
        "(the param sideways) and spends error budget"
    )
    return at_least(f"{name} against every version so far", lowest, -settings.free_step, why)


def _sideways(named: str, budget: ErrorBudget, others: Sequence[Comparison]) -> Iterator[Rule]:
    for name in FIGURES:
        pairs = [other.pairs.get(name) for other in others]
        bounds = [budget.bound(pair) for pair in pairs if pair]
        lowest = min(bounds) if len(bounds) == len(others) else None
        margin = budget.margins[name]
        why = f"sideways step {named!r}: a loss of {margin * 100:g} points is ruled out at {budget.level:.4g}"
        yield at_least(f"{name} after a sideways step", lowest, -margin, why)


def _affordable(budget: ErrorBudget, asked: int) -> Rule:
    why = "what a sideways step spends must be left of the error budget"
    return at_least("error budget", budget.left(asked), budget.level, why)
