"""What a person is asked in the UI, and what is made of the answer."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.execution_time.hitl import HITLUser

from pneumo_airflow.notices import ApprovalNotice
from pneumo_airflow.stages import connection_settings, note_begin, open_store
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.runs.answers import check_answer, keep_answer
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout

if TYPE_CHECKING:
    from pneumo_tasks.monitoring.reviews import Answered

PROMOTE, REJECT = "promote", "reject"
KEEP = "keep the champion"


def reason_param(title: str, kept: str = "It enters the ledger with your name.") -> Param:
    """A free text beside the options; ``kept`` says what becomes of it."""
    return Param("", type="string", maxLength=2000, title=title, description=kept)


def approval_task(
    task_id: str, subject: str, *, requested_by: str, yes: str, remark: str, hours: float, notice: str
) -> HITLOperator:
    """Asks a person for ``yes`` or a no; the time limit's own answer is the no.

    The task ``requested_by`` leaves what is shown with the question in its XCom ``request``.
    """
    return NamedPersons(
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
        roles=roles_of(str(person["id"])),
    )


def read_kept_answer(run: Run, answer: Mapping[str, Any] | None, yes: str = PROMOTE) -> Approval | None:
    """As ``read_answer``; PromotionRefused where it is not what the asking task kept in the bucket."""
    approval = read_answer(answer, run.settings.approval_hours, yes)
    if approval is not None:
        check_answer(run.store, run.run_id, approval)
    return approval


def roles_of(user: str) -> tuple[str, ...]:
    """What the UI's simple auth manager says of a user; empty where another one keeps the roles."""
    users = conf.get("core", "simple_auth_manager_users", fallback="")
    pairs = (pair.strip().partition(":") for pair in users.split(","))
    return tuple(role for name, _, role in pairs if name == user and role)


class NamedPersons(HITLOperator):
    """Asks those whom the protocol names; anybody with the permission where it names roles, or nobody.

    The DAG file knows no protocol: it is read when the question is asked. Whoever answers is checked again
    before anything is promoted, so this only spares people a question that is not theirs. A run that was
    stopped and is asked again waits from this moment on, so the run is told that the task began.
    """

    def execute(self, context: Any) -> Any:
        note_begin(context)
        # Other auth managers know their users by numbers: to assign a name would lock everybody out.
        simple = "SimpleAuthManager" in conf.get("core", "auth_manager", fallback="")
        approvers = named_approvers() if simple else ()
        if approvers and not any(name.startswith("role:") for name in approvers):
            self.assigned_users = [HITLUser(id=name, name=name) for name in approvers]
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Keep the answer in the bucket before it travels on: rows of Airflow can be edited."""
        answer = super().execute_complete(context, event)
        settings = Settings.load(connection_settings())
        said = read_answer(answer, settings.approval_hours, yes=self.options[0])
        if said is not None:
            keep_answer(open_store(settings), layout.check_run_id(context["run_id"]), said)
        return answer


LATER = "decide later"


def review_task(task_id: str, *, requested_by: str, options: list[str], hours: float) -> HITLOperator:
    """Asks what is to become of a champion that raised an alarm; no answer in time leaves the review open."""
    return NamedPersons(
        task_id=task_id,
        subject="The outcomes of the champion are worse than tolerated. What is to be done?",
        body=f"{{{{ ti.xcom_pull(task_ids='{requested_by}', key='request') }}}}",
        options=[*options, LATER],
        defaults=[LATER],
        params={"reason": reason_param("Why", "It is kept with the evidence and your name.")},
        response_timeout=timedelta(hours=hours),
        notifiers=[ApprovalNotice("Pneumo: the watch over the champion opened a review")],
        execution_timeout=None,
    )


def read_review(answer: Mapping[str, Any]) -> "Answered | None":
    """Who answered an alarm with what; None where the time limit did, or somebody put it off."""
    from pneumo_tasks.monitoring.reviews import Answered

    (chosen,) = answer["chosen_options"]
    person = answer["responded_by_user"]
    if chosen == LATER or person is None:
        return None
    reason = str((answer["params_input"] or {}).get("reason") or "")
    return Answered(by=str(person["name"] or person["id"])[:200], answer=chosen, reason=reason)


def named_approvers() -> tuple[str, ...]:
    from pneumo_tasks.promotion.protocol.governing import holding

    settings = Settings.load(connection_settings())
    return holding(settings, open_store(settings)).protocol.approval.approvers


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
