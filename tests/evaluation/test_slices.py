import numpy as np
import pandas as pd

from pneumo_tasks.evaluation import bootstrap
from pneumo_tasks.evaluation.slices import Slice, slice_figures


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
