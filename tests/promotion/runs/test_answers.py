"""An answer is believed where the task that took it and Airflow's row say the same."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.runs.answers import check_answer, keep_answer
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

YES = Approval(verdict="promote", by="anna", reason="looked at every miss")
NO = Approval(verdict="reject", by="anna", reason="all misses are infants")


def test_the_answer_that_was_given_is_believed(store: ObjectStore) -> None:
    keep_answer(store, "run", YES)
    check_answer(store, "run", YES.model_copy(update={"at": "2026-11-25T16:00:00+00:00"}))


@pytest.mark.parametrize(
    "forged",
    [
        YES.model_copy(update={"by": "ben"}),
        YES.model_copy(update={"reason": "fine"}),
        NO,
        Approval(verdict="promote", by="the time limit", reason=YES.reason),
    ],
    ids=["another person", "another reason", "a no", "nobody"],
)
def test_an_edited_row_is_refused_with_both_answers(store: ObjectStore, forged: Approval) -> None:
    keep_answer(store, "run", YES)
    with pytest.raises(PromotionRefused, match=r"not the one that was given.*anna.*audit log") as refused:
        check_answer(store, "run", forged)
    assert forged.sentence in str(refused.value)


def test_an_answer_that_nobody_kept_is_refused(store: ObjectStore) -> None:
    keep_answer(store, "another run", YES)
    with pytest.raises(PromotionRefused, match="nobody's answer is kept"):
        check_answer(store, "run", YES)


def test_the_answer_to_the_last_question_counts(store: ObjectStore) -> None:
    for answer in (YES, NO):
        keep_answer(store, "run", answer)
    check_answer(store, "run", NO)
    with pytest.raises(PromotionRefused):
        check_answer(store, "run", YES)


def test_answers_at_the_same_moment_are_all_kept(store: ObjectStore) -> None:
    answers = [Approval(verdict="reject", by=f"person {n}", reason="no") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda answer: keep_answer(store, "run", answer), answers))
    assert sorted(keys) == [layout.answer("run", number) for number in range(1, 9)]
