import numpy as np
import pandas as pd
import pytest

from pneumo_tasks.evaluation.figures import bootstrap
from pneumo_tasks.evaluation.figures.gaps import Gap, difference_interval, slice_gaps
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.intervals import wilson
from pneumo_tasks.evaluation.figures.slices import BROUGHT, NOT_BROUGHT, Slice, SliceShare, slice_figures


def figures(**columns: object) -> list[Slice]:
    rows = pd.DataFrame(
        {
            "label": ["PNEUMONIA"] * 60 + ["NORMAL"] * 60,
            "family": ["person-virus"] * 30 + ["person-bacteria"] * 30 + ["IM"] * 60,
            "width": np.arange(120) + 100,
            "height": 100,
            "grey_mean": np.linspace(60, 160, 120),
            "batch_id": "monday",
        }
        | columns
    )
    called = np.r_[np.zeros(15, bool), np.ones(45, bool), np.zeros(60, bool)]
    positive = (rows["label"] == "PNEUMONIA").to_numpy()
    codes, ill = bootstrap.patient_codes(pd.Series(range(120)), positive)
    draws = bootstrap.draw_patients(ill, 200, seed=1)
    return slice_figures(rows, called, codes, draws, min_images=50)


def test_a_bad_family_shows_though_the_mean_is_good() -> None:
    by_family = {part.value: part for part in figures() if part.by == "source family"}
    assert by_family["person-virus"].recall.value == 0.5
    assert by_family["person-bacteria"].recall.value == 1.0
    assert by_family["IM"].recall.value is None
    assert by_family["IM"].specificity.value == 1.0


def test_small_slices_are_shown_as_such() -> None:
    by_family = {part.value: part.small for part in figures() if part.by == "source family"}
    assert by_family == {"person-virus": True, "person-bacteria": True, "IM": False}


def test_the_kind_of_pneumonia_exposure_and_size_are_slices_and_a_single_batch_is_not() -> None:
    kinds = {part.by for part in figures()}
    assert {"kind of pneumonia", "exposure", "image size"} <= kinds
    assert "batch" not in kinds
    exposure = [part for part in figures() if part.by == "exposure"]
    assert len(exposure) == 4
    assert sum(part.recall.images + part.specificity.images for part in exposure) == 120


def test_optional_columns_are_slices_where_they_are_given() -> None:
    sites = [part.value for part in figures(site=["north", "south"] * 60) if part.by == "site"]
    assert sites == ["north", "south"]


def test_those_of_whom_nothing_is_stated_are_a_slice() -> None:
    ages = [part.value for part in figures(age_band=["1 to 4", None, "5 to 17"] * 40) if part.by == "age"]
    assert ages == ["1 to 4", "5 to 17", "not stated"]
    assert not [part for part in figures(sex=[None] * 120) if part.by == "sex"]


def test_films_of_which_a_circumstance_is_not_stated_are_a_slice_too() -> None:
    for column, title in [(name, name) for name in ("site", "view", "month", "laterality", "priority")]:
        found = [part.value for part in figures(**{column: ["A", "", None, "B"] * 30}) if part.by == title]
        assert found == ["A", "B", "not stated"]


def test_films_that_were_not_brought_to_the_frame_are_a_slice() -> None:
    framed = np.where(np.arange(120) % 4, BROUGHT, NOT_BROUGHT)
    found = {part.value: part for part in figures(frame=framed) if part.by == "frame"}
    assert set(found) == {"brought to the frame", "not brought to the frame"}
    assert (found[NOT_BROUGHT].recall.images, found[NOT_BROUGHT].specificity.images) == (15, 15)
    assert not [part for part in figures(frame=[BROUGHT] * 120) if part.by == "frame"]


def widest(min_images: int, **columns: object) -> dict[tuple[str, str], Gap]:
    return {(gap.by, gap.figure): gap for gap in slice_gaps(figures(**columns), min_images)}


def test_the_gap_of_a_kind_of_slices_names_the_best_and_the_worst() -> None:
    gap = widest(20)[("source family", "recall")]
    assert (gap.value, gap.best, gap.worst, gap.slices) == (0.5, "person-bacteria", "person-virus", 2)
    values = [gap.value for gap in slice_gaps(figures(), 20)]
    assert values == sorted(values, reverse=True)


def test_slices_too_small_or_without_the_class_are_no_gap() -> None:
    assert ("source family", "recall") not in widest(31)
    assert ("source family", "specificity") not in widest(1), "one family alone has healthy children"


def share(hits: int, images: int) -> SliceShare:
    return SliceShare(images=images, value=hits / images, interval=wilson(hits / images, images))


def test_the_interval_of_a_gap_is_newcombes_in_his_own_example() -> None:
    # Newcombe 1998, table II: 56/70 against 48/80, method 10: .0524 to .3339.
    found = difference_interval(share(56, 70), share(48, 80))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_two_slices_that_were_named_beforehand_have_their_true_gap_inside() -> None:
    dice = np.random.default_rng(5)
    for true, other in ((0.95, 0.95), (0.97, 0.85), (0.6, 0.5)):
        drawn = zip(dice.binomial(60, true, 2000), dice.binomial(40, other, 2000), strict=True)
        inside = [
            found.low <= true - other <= found.high
            for hits, others in drawn
            if (found := difference_interval(share(int(hits), 60), share(int(others), 40)))
        ]
        assert len(inside) == 2000
        assert np.mean(inside) > 0.94


def test_a_gap_has_an_interval_and_one_without_intervals_has_none() -> None:
    gap = widest(20)[("source family", "recall")]
    assert gap.interval is not None
    assert gap.interval.low < gap.value < gap.interval.high
    unknown = SliceShare(images=3, value=0.5, interval=None)
    assert difference_interval(unknown, share(2, 3)) is None
    assert isinstance(share(2, 3).interval, Interval)


def test_gaps_are_those_of_fairlearn() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    ill = np.r_[np.ones(60, bool), np.zeros(60, bool)]
    called = np.r_[np.zeros(15, bool), np.ones(45, bool), np.zeros(60, bool)]
    sites = ["north", "south", "east"] * 40
    of_fairlearn = metrics.MetricFrame(
        metrics=metrics.true_positive_rate, y_true=ill, y_pred=called, sensitive_features=sites
    )
    gap = widest(10, site=sites)[("site", "recall")]
    assert gap.value == pytest.approx(of_fairlearn.difference(method="between_groups"))
