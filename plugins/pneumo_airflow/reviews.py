"""What a person is asked in the UI, and what is made of the answer."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from pneumo_airflow.notices import ApprovalNotice
from pneumo_tasks.promotion.approval import Approval

PROMOTE, REJECT = "promote", "reject"
KEEP = "keep the champion"


def reason_param(title: str) -> Param:
    """A free text beside the options; it enters the ledger."""
    return Param(
        "", type="string", maxLength=2000, title=title, description="It enters the ledger with your name."
    )


def approval_task(
    task_id: str, subject: str, *, requested_by: str, yes: str, remark: str, hours: float, notice: str
) -> HITLOperator:
    """Asks a person for ``yes`` or a no; the time limit's own answer is the no.

    The task ``requested_by`` leaves what is shown with the question in its XCom ``request``.
    """
    return HITLOperator(
        task_id=task_id,
        subject=subject,
        body=f"{{{{ ti.xcom_pull(task_ids='{requested_by}', key='request') }}}}",
        options=[yes, REJECT],
        defaults=[REJECT],
        params={"reason": reason_param(remark)},
        response_timeout=timedelta(hours=hours),
        notifiers=[ApprovalNotice(notice)],
        execution_timeout=None,
    )


def read_answer(answer: Mapping[str, Any] | None, hours: float, yes: str = PROMOTE) -> Approval | None:
    """The answer to "``yes`` or reject?", None where nobody was asked; no answer in time is a no."""
    if answer is None:
        return None
    reason = str((answer["params_input"] or {}).get("reason") or "")
    person = answer["responded_by_user"]
    if person is None:
        return Approval(
            verdict="reject",
            by="the time limit",
            reason=f"nobody answered within {hours:g} hours",
            at=_iso(answer["responded_at"]),
        )
    verdict = PROMOTE if answer["chosen_options"] == [yes] else REJECT
    return Approval(
        verdict=verdict,
        by=str(person["name"] or person["id"])[:200],
        reason=reason,
        at=_iso(answer["responded_at"]),
    )


class ChooseVersion(HITLOperator):
    """Asks which of the former champions shall come back; an earlier task lists them.

    Airflow takes the options from the DAG file, which knows no ledger: these are read when the
    question is asked, and again when the answer is checked.
    """

    def __init__(self, *, offered_by: str, **arguments: Any) -> None:
        super().__init__(options=[KEEP], defaults=[KEEP], **arguments)
        self.offered_by = offered_by

    def execute(self, context: Any) -> Any:
        self._offer(context)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        self._offer(context)
        return super().execute_complete(context, event)

    def _offer(self, context: Any) -> None:
        offered = context["ti"].xcom_pull(task_ids=self.offered_by) or []
        self.options = [*offered, KEEP]


def _iso(moment: datetime | str) -> str:
    return moment if isinstance(moment, str) else moment.isoformat(timespec="seconds")
