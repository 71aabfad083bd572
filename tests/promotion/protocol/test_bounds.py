import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.deciding.gate import LIMITS
from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS, compare, refuse_looser
from pneumo_tasks.settings import RUN_SECTIONS, Settings

OPPOSITE = {"tighter": "looser", "looser": "tighter", "other": "other"}


def test_every_limit_of_the_gate_and_of_the_form_has_a_direction() -> None:
    chosen = set(RUN_SECTIONS["When to promote"]) - {"dry_run", "sideways"}
    assert set(LIMITS) | chosen <= set(DIRECTIONS)
    assert set(DIRECTIONS) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("name", "before", "after", "effect"),
    [
        ("min_recall", 0.95, 0.96, "tighter"),
        ("min_recall", 0.95, 0.0, "looser"),
        ("recall_margin", 0.02, 1.0, "looser"),
        ("recall_margin", 0.02, 0.01, "tighter"),
        ("require_approval", True, False, "looser"),
        ("require_approval", False, True, "tighter"),
        ("target_recall", 0.95, 0.99, "other"),
        ("slice_min_images", 50, 5000, "looser"),
        ("min_auc", 0.9, None, "other"),
    ],
)
def test_each_kind_of_limit_knows_its_direction(
    name: str, before: object, after: object, effect: str
) -> None:
    (change,) = compare({name: before}, {name: after})
    assert change.effect == effect


@given(
    name=st.sampled_from(sorted(n for n, d in DIRECTIONS.items() if d in ("floor", "ceiling"))),
    before=st.floats(0, 1),
    after=st.floats(0, 1),
)
def test_a_change_and_its_way_back_have_opposite_effects(name: str, before: float, after: float) -> None:
    there, back = compare({name: before}, {name: after}), compare({name: after}, {name: before})
    assert [c.effect for c in there] == [OPPOSITE[c.effect] for c in back]
    assert bool(there) == (before != after)


def test_a_refusal_names_both_values_of_every_loosened_limit() -> None:
    changes = compare({"min_recall": 0.95, "recall_margin": 0.02}, {"min_recall": 0.5, "recall_margin": 1.0})
    with pytest.raises(
        BadConfiguration, match=r"min_recall is 0.5, the protocol says 0.95; recall_margin is 1"
    ):
        refuse_looser(changes, "here")
