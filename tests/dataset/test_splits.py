import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_tasks.dataset.splits import (
    SplitCheck,
    assign_splits,
    drop_duplicates,
    independence_checks,
    wishes_of,
)
from pneumo_tasks.intake.records.register import Founding, Register, draw, enrol
from tests.dataset.frames import accepted_frame

rows = st.lists(
    st.fixed_dictionaries(
        {
            "patient": st.integers(0, 12).map(lambda n: f"person:{n}"),
            "split": st.sampled_from(["train", "test", "auto"]),
            "label": st.sampled_from(["NORMAL", "PNEUMONIA"]),
            "pixel_digest": st.integers(0, 30).map(str),
            "batch_id": st.sampled_from(["a", "b", "c"]),
        }
    ),
    min_size=1,
    max_size=40,
).map(accepted_frame)


def assigned(
    frame: pd.DataFrame, test_share: float = 0.3, folds: int = 4
) -> tuple[pd.DataFrame, pd.DataFrame]:
    register = Register(Founding(salt="salt", rule="", site_in_key=False, founded_at=""), {})
    return assign_splits(frame, enrol(register, wishes_of(frame), test_share, folds))


@given(rows)
@settings(deadline=None)
def test_no_patient_and_no_pixels_are_ever_in_two_splits(frame: pd.DataFrame) -> None:
    kept, duplicates = drop_duplicates(frame)
    placed, misplaced = assigned(kept)
    assert all(check.verdict == "pass" for check in independence_checks(placed))
    assert len(placed) + len(misplaced) + len(duplicates) == len(frame)
    assert set(placed["split"]) <= {"train", "validation", "test"}


@given(rows, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_rows_changes_nothing(frame: pd.DataFrame, random: object) -> None:
    shuffled = frame.sample(frac=1.0, random_state=1)
    first, _ = assigned(drop_duplicates(frame)[0])
    second, _ = assigned(drop_duplicates(shuffled)[0])
    columns = ["key", "split", "fold"]
    pd.testing.assert_frame_equal(
        first[columns].reset_index(drop=True), second[columns].reset_index(drop=True)
    )


@given(rows)
@settings(deadline=None)
def test_a_later_batch_moves_no_patient(frame: pd.DataFrame) -> None:
    later = frame.assign(
        created_at="2026-02-01T00:00:00+00:00",
        batch_id="later",
        pixel_digest=lambda f: "new" + f.index.astype(str),
    )
    before, _ = assigned(frame)
    after, _ = assigned(pd.concat([frame, later], ignore_index=True))
    home = before.groupby("patient")["split"].first()
    assert (after.groupby("patient")["split"].first().loc[home.index] == home).all()


def test_the_same_pixels_under_two_labels_are_both_out() -> None:
    frame = accepted_frame([{"pixel_digest": "x"}, {"pixel_digest": "x", "label": "PNEUMONIA"}, {}])
    kept, excluded = drop_duplicates(frame)
    assert len(kept) == 1
    assert list(excluded["reason"]) == ["same pixels under two labels"] * 2


def test_the_oldest_of_equal_images_is_kept() -> None:
    frame = accepted_frame(
        [
            {"pixel_digest": "x", "batch_id": "new", "created_at": "2026-03-01T00:00:00+00:00"},
            {"pixel_digest": "x", "batch_id": "old", "file": "0.jpeg"},
        ]
    )
    kept, excluded = drop_duplicates(frame)
    assert list(kept["batch_id"]) == ["old"]
    assert list(excluded["reason"]) == ["same pixels as incoming/old/0.jpeg"]


def test_a_patient_of_the_test_set_stays_out_of_training() -> None:
    frame = accepted_frame(
        [
            {"patient": "IM:1", "split": "test"},
            {"patient": "IM:1", "split": "train", "created_at": "2026-03-01T00:00:00+00:00"},
            {"patient": "IM:1", "split": "auto", "created_at": "2026-03-01T00:00:00+00:00"},
        ]
    )
    placed, excluded = assigned(frame)
    assert list(placed["split"]) == ["test", "test"]
    assert list(excluded["reason"]) == ["patient is already in the split test"]


def test_the_number_alone_is_not_a_patient() -> None:
    frame = accepted_frame(
        [{"patient": "person-virus:7", "split": "test"}, {"patient": "person-bacteria:7", "split": "train"}]
    )
    placed, excluded = assigned(frame)
    assert excluded.empty
    assert all(check.verdict == "pass" for check in independence_checks(placed))


def test_an_automatic_batch_gives_about_the_asked_share_of_patients_to_the_test_set() -> None:
    frame = accepted_frame([{"patient": f"p:{n}", "split": "auto"} for n in range(2000)])
    placed, _ = assigned(frame, test_share=0.2)
    assert 0.17 < (placed["split"] == "test").mean() < 0.23
    validation = (placed["split"] == "validation").sum() / (placed["split"] != "test").sum()
    assert 0.22 < validation < 0.28


def test_the_draw_depends_on_patient_salt_and_purpose() -> None:
    draws = {draw(p, s, u) for p in ("a", "b") for s in ("s", "t") for u in ("test", "fold")}
    assert len(draws) == 8
    assert all(0 <= draw < 1 for draw in draws)


def test_a_shared_patient_fails_its_check() -> None:
    frame = accepted_frame([{"patient": "IM:1"}, {"patient": "IM:1"}]).assign(
        split=["train", "test"], fold=[1, -1]
    )
    verdicts = {check.name: check.verdict for check in independence_checks(frame)}
    assert verdicts["patients in two splits"] == "fail"
    assert verdicts["files in two splits"] == "pass"
    assert SplitCheck("x", 1).verdict == "fail"
