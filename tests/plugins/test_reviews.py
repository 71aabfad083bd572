from datetime import UTC, datetime
from typing import Any

from pneumo_airflow.reviews import read_answer

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
