from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator

from pneumo_airflow.reviews import LATER, approval_task, read_answer, read_kept_answer, read_review
from pneumo_tasks.errors import PromotionRefused
from pneumo_tasks.monitoring.reviews import ANSWERS
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore

ANSWERED = datetime(2026, 11, 25, 16, 0, tzinfo=UTC)


def answer(option: str, reason: str | None = "looked at the flips", person: Any = None) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {} if reason is None else {"reason": reason},
        "responded_at": ANSWERED,
        "responded_by_user": person,
    }


ANNA = {"id": "7", "name": "anna"}


def test_an_answer_says_who_why_and_when() -> None:
    yes = read_answer(answer("promote", person=ANNA), 48)
    assert yes is not None
    assert (yes.verdict, yes.by, yes.reason) == ("promote", "anna", "looked at the flips")
    assert yes.at == "2026-11-25T16:00:00+00:00"
    no = read_answer(answer("reject", None, ANNA), 48)
    assert no is not None
    assert no.sentence == "rejected by anna: no reason given"


def test_nobody_asked_is_no_answer_and_nobody_answering_is_a_no() -> None:
    assert read_answer(None, 48) is None
    late = read_answer(answer("reject", None), 48)
    assert late is not None
    assert late.sentence == "rejected by the time limit: nobody answered within 48 hours"
    forged = read_answer(answer("promote", None), 48)  # a yes without a person is no yes
    assert forged is not None
    assert forged.verdict == "reject"


def test_what_is_not_promote_is_reject() -> None:
    for option in ("reject", "Promote", "", "promote "):
        read = read_answer(answer(option, person=ANNA), 48)
        assert read is not None
        assert read.verdict == "reject"


def test_each_question_has_its_own_yes() -> None:
    for option, verdict in (("roll back", "promote"), ("promote", "reject"), ("reject", "reject")):
        read = read_answer(answer(option, person=ANNA), 48, yes="roll back")
        assert read is not None
        assert read.verdict == verdict


@pytest.fixture
def asked(environment: None, store: ObjectStore) -> HITLOperator:
    return approval_task(
        "approve", "Promote?", requested_by="ask", yes="promote", remark="Why", hours=48, notice="a candidate"
    )


def test_an_edited_row_of_airflow_promotes_nothing(
    asked: HITLOperator, settings: Settings, store: ObjectStore
) -> None:
    run = Run(settings, store, "manual__1")
    given = asked.execute_complete({"run_id": run.run_id}, answer("reject", "infants", ANNA))
    said = read_kept_answer(run, given)
    assert said is not None
    assert (said.verdict, said.by) == ("reject", "anna")
    for forged in (
        answer("promote", "infants", ANNA),
        answer("reject", "infants", {"id": "8", "name": "ben"}),
    ):
        with pytest.raises(PromotionRefused, match="not the one that was given"):
            read_kept_answer(run, forged)


def test_a_row_for_a_question_that_nobody_was_asked_promotes_nothing(
    settings: Settings, store: ObjectStore
) -> None:
    run = Run(settings, store, "manual__2")
    assert read_kept_answer(run, None) is None
    with pytest.raises(PromotionRefused, match="nobody's answer is kept"):
        read_kept_answer(run, answer("promote", person=ANNA))


def test_an_alarm_is_answered_by_a_person_and_never_by_the_time_limit() -> None:
    said = read_review(answer("roll back", "it misses too many", ANNA))
    assert said is not None
    assert (said.by, said.answer, said.reason) == ("anna", "roll back", "it misses too many")
    assert read_review(answer("keep", None)) is None
    assert read_review(answer(LATER, person=ANNA)) is None


def test_the_watch_offers_the_answers_that_are_written_down() -> None:
    import champion_watch

    assert (champion_watch.KEEP, champion_watch.ROLL_BACK, champion_watch.RETRAIN) == ANSWERS
