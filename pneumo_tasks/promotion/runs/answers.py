"""Answers: what a person said in the UI, kept where no user of the UI can write.

Between the question and the promotion an answer travels as a row of Airflow's database, and whoever may
edit such rows could write another name into it. The task that takes the answer therefore keeps it in the
bucket, and the task that acts on it believes it only where both say the same.
"""

from functools import partial

from pneumo_tasks.errors import PromotionRefused, StorageUnavailable
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.numbered import last_number
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

_MOST = 1000  # answers of one run: a question may be cleared and asked again


def keep_answer(store: ObjectStore, run_id: str, answer: Approval) -> str:
    """Write the answer behind those of earlier questions of the run; returns its key."""
    body = canonical_json(answer.model_dump(mode="json"))
    for number in range(_last(store, run_id) + 1, _MOST):
        key = layout.answer(run_id, number)
        if store.put_once(key, body) == body:
            return key
    raise StorageUnavailable("no place for an answer is free", where=run_id, found=f"limit {_MOST}")


def check_answer(store: ObjectStore, run_id: str, answer: Approval) -> None:
    """PromotionRefused unless the last kept answer of the run says the same, by the same person."""
    number = _last(store, run_id)
    if number:
        kept = Approval.model_validate(store.read_json(layout.answer(run_id, number)))
        if (kept.verdict, kept.by, kept.reason) == (answer.verdict, answer.by, answer.reason):
            return
        found = f"{answer.sentence!r}; kept is {kept.sentence!r}"
    else:
        found = f"{answer.sentence!r}; nobody's answer is kept"
    raise PromotionRefused(
        "the answer that Airflow hands on is not the one that was given",
        where=f"run {run_id}",
        found=found,
        do="See in Airflow's audit log who edited the task's XCom, then clear the question and answer again.",
    )


def _last(store: ObjectStore, run_id: str) -> int:
    """The number of the last answer, 0 where there is none."""
    return last_number(store, layout.answers(run_id), partial(layout.answer, run_id))
