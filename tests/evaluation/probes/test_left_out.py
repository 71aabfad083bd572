import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from pneumo_tasks.evaluation.probes.left_out import (
    LeftOut,
    leave_sources_out,
    profile_of,
    source_of,
    specificity_at,
)

_SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=60)


def films() -> tuple[pd.DataFrame, "np.ndarray[tuple[int, int], np.dtype[np.float64]]"]:
    """Two healthy sources and two ill ones; a mark tells one healthy source, and the disease is weak."""
    rng = np.random.default_rng(0)
    sizes = {"im:": 300, "normal2-im:": 300, "person-bacteria:": 400, "person-virus:": 400}
    patient = [f"{source}{number // 2}" for source, size in sizes.items() for number in range(size)]
    table = pd.DataFrame({"patient": patient})
    table["source"] = source_of(table["patient"])
    table["label"] = np.where(table["patient"].str.startswith("person"), "PNEUMONIA", "NORMAL")
    ill = (table["label"] == "PNEUMONIA").to_numpy()
    disease = ill + rng.normal(0, 0.4, len(table))
    mark = 3.0 * (table["source"] == "im").to_numpy() + 0.1 * rng.normal(size=len(table))
    return table, np.stack([disease, mark], 1)


def left_out(draws: int = 2, only: list[str] | None = None) -> dict[str, LeftOut]:
    table, features = films()
    ill = (table["label"] == "PNEUMONIA").to_numpy()

    def fit_without(
        held: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    ) -> "np.ndarray[..., np.dtype[np.float64]]":
        assert not set(table["patient"][held]) & set(table["patient"][~held])
        model = LogisticRegression().fit(features[~held], ill[~held])
        return model.predict_proba(features[held])[:, 1]

    return {row.source: row for row in leave_sources_out(table, fit_without, 0, draws, only)}


def test_a_source_that_was_told_by_a_mark_is_found_and_the_control_is_not() -> None:
    """Without the marked films nobody learns the mark; the others then lose what the mark had explained."""
    rows = left_out()
    assert set(rows) == {"im", "normal2-im", "person-bacteria", "person-virus"}
    worst = rows["normal2-im"]
    assert worst.profile.auc < min(control.auc for control in worst.control) - 0.02
    assert len(worst.control) == 2


def test_the_control_leaves_as_many_films_out_and_both_judge_the_other_label() -> None:
    for row in left_out().values():
        sizes = [row.profile.films, *(control.films for control in row.control)]
        assert max(sizes) - min(sizes) <= 4
        assert row.profile.films > row.films


def test_the_same_seed_gives_the_same_rows() -> None:
    assert left_out() == left_out()


def test_one_source_asked_for_alone_gives_the_row_that_all_give() -> None:
    assert left_out(only=["normal2-im"]) == {"normal2-im": left_out()["normal2-im"]}


def test_the_number_of_draws_changes_nothing_but_the_control() -> None:
    one, three = left_out(1), left_out(3)
    for source, row in one.items():
        assert row.profile == three[source].profile
        assert row.control == three[source].control[:1]


def test_the_only_source_of_a_label_is_passed_over() -> None:
    table, _ = films()
    table.loc[table["label"] == "NORMAL", "source"] = "one"
    rows = leave_sources_out(table, lambda held: np.linspace(0, 1, held.sum()), 0, 1)
    assert [row.source for row in rows] == ["person-bacteria", "person-virus"]


def test_the_source_is_what_stands_before_the_number() -> None:
    given_ids = pd.Series(["im:12", "normal2-im:3", "clinic", "site-7:0042"])
    assert list(source_of(given_ids)) == ["im", "normal2-im", "clinic", "site-7"]


@given(_SCORES, _SCORES, st.floats(0.01, 1.0))
def test_specificity_is_that_of_the_highest_threshold_with_the_recall(
    ill: list[float], healthy: list[float], recall: float
) -> None:
    labels, scores = np.array([True] * len(ill) + [False] * len(healthy)), np.array(ill + healthy)
    usable = [t for t in np.unique(scores[labels]) if (scores[labels] >= t).mean() >= recall - 1e-9]
    assert specificity_at(labels, scores, recall) == pytest.approx((scores[~labels] < max(usable)).mean())


def test_a_profile_of_perfect_scores() -> None:
    profile = profile_of(np.array([True, True, False]), np.array([1.0, 1.0, 0.0]))
    assert (profile.auc, profile.specificity, profile.calibration_error) == (1, 1, 0)
