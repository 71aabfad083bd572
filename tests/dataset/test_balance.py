import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.dataset.balance import balance

ARTICLE = {"NORMAL": 1341, "PNEUMONIA": 3875}


def test_the_article_s_ratio_is_put_on_the_rarer_class() -> None:
    result = balance(ARTICLE, "ratio")
    assert result.weights == {"NORMAL": pytest.approx(3875 / 1341), "PNEUMONIA": 1.0}
    assert result.imbalance_ratio == pytest.approx(2.89, abs=0.005)


def test_no_policy_weighs_nothing() -> None:
    assert balance(ARTICLE, "none").weights == {"NORMAL": 1.0, "PNEUMONIA": 1.0}


def test_explicit_weights_are_taken_as_given() -> None:
    assert balance(ARTICLE, "2:0.5").weights == {"NORMAL": 2.0, "PNEUMONIA": 0.5}


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_balanced_weights_make_both_classes_count_the_same(normal: int, pneumonia: int) -> None:
    counts = {"NORMAL": normal, "PNEUMONIA": pneumonia}
    weights = balance(counts, "balanced").weights
    assert weights["NORMAL"] * normal == pytest.approx(weights["PNEUMONIA"] * pneumonia)
    assert sum(weights[label] * n for label, n in counts.items()) == pytest.approx(normal + pneumonia)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_imbalance_ratio_is_never_below_one(normal: int, pneumonia: int) -> None:
    assert balance({"NORMAL": normal, "PNEUMONIA": pneumonia}, "none").imbalance_ratio >= 1.0
