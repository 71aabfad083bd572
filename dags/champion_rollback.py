"""Going back to a former champion: wiring only. A person chooses, says why, and another look approves."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from pneumo_airflow.assets import CHAMPION, champion_event
from pneumo_airflow.links import page_url
from pneumo_airflow.notices import send_notice
from pneumo_airflow.reviews import KEEP, ChooseVersion, approval_task, read_kept_answer, reason_param
from pneumo_airflow.stages import DEFAULTS, ROLLBACK_DAG_ID, running_task, with_signing_key
from pneumo_airflow.timetables import RunsOnRequest
from pneumo_tasks.settings import Settings

SETTINGS = Settings.load()
ROLL_BACK = "roll back"
WAIT = timedelta(hours=SETTINGS.approval_hours)


@task
def list_former_champions() -> list[str]:
    from pneumo_tasks.promotion.report.note import former_champions_table

    now = running_task()
    versions, table = former_champions_table(now.run.store)
    if not versions:
        raise AirflowSkipException("There is no former champion to go back to.")
    now.context["ti"].xcom_push("request", f"{table}\n\n[The whole ledger]({page_url('ledger')})")
    return versions


@task
def check_choice(choice: dict[str, Any]) -> dict[str, Any]:
    from pneumo_tasks.promotion.report.note import rollback_request

    now = running_task()
    (version,) = choice["chosen_options"]
    reason = str((choice["params_input"] or {}).get("reason") or "").strip()
    person = choice["responded_by_user"]
    if version == KEEP or person is None:
        raise AirflowSkipException("The champion stays: nobody chose another version.")
    if not reason:
        raise AirflowSkipException("The champion stays: no reason was given. Trigger again and say why.")
    wanted = {"version": version, "reason": reason, "by": str(person["name"] or person["id"])}
    card = page_url("model", version=version)
    now.context["ti"].xcom_push("request", rollback_request(now.run.store, **wanted, card=card))
    return wanted


@task(outlets=[CHAMPION])
def move_champion(wanted: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    from pneumo_tasks.promotion.moving.rollback import rollback
    from pneumo_tasks.promotion.registry.champion import champion_summary
    from pneumo_tasks.promotion.registry.change_request import ChangeRequest

    now = running_task()
    approval = read_kept_answer(now.run, answer, yes=ROLL_BACK)
    if approval is None or approval.verdict == "reject":
        raise AirflowSkipException(f"The champion stays: {approval.sentence if approval else 'no answer'}.")
    request = ChangeRequest(
        reason=wanted["reason"], by=wanted["by"], approval=approval, attempt=now.run.run_id
    )
    moved = rollback(with_signing_key(now.run.settings), now.run.store, wanted["version"], request)
    champion = champion_summary(now.run.store)
    if champion is not None:
        now.context["outlet_events"][CHAMPION].extra = champion_event(champion)
    return moved.model_dump()


@task(trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS)
def close_run(moved: dict[str, Any] | None) -> str:
    from pneumo_tasks.promotion.registry.champion import champion_summary

    now = running_task()
    champion = champion_summary(now.run.store)
    version = champion["version"] if champion else "none"
    note = f"rolled back to {version}" if moved else f"the champion stays: {version}"
    now.context["ti"].xcom_push("note", note)
    if moved:
        send_notice(now.context, f"Pneumo: {note}", f"By run {now.run.run_id}.", page_url("ledger"))
    return note


@dag(
    dag_id=ROLLBACK_DAG_ID,
    dag_display_name="Champion rollback",
    description="Go back to a former champion: choose it, say why, have it approved",
    schedule=RunsOnRequest(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1) + 2 * WAIT,
    tags=["pneumo", "champion", "by-hand"],
    doc_md=str(Path(__file__).with_suffix(".md")),
    default_args=DEFAULTS,
)
def champion_rollback() -> None:
    former = list_former_champions()
    choice = ChooseVersion(
        task_id="choose_version",
        offered_by="list_former_champions",
        subject="Which version shall be the champion?",
        body="{{ ti.xcom_pull(task_ids='list_former_champions', key='request') }}",
        params={"reason": reason_param("Why")},
        response_timeout=WAIT,
        execution_timeout=None,
    )
    wanted = check_choice(choice.output)
    approval = approval_task(
        "approve_rollback",
        "Roll the champion back?",
        requested_by="check_choice",
        yes=ROLL_BACK,
        remark="Remark",
        hours=SETTINGS.approval_hours,
        notice="Pneumo: a rollback waits for your approval",
    )
    moved = move_champion(wanted, approval.output)
    former >> choice >> wanted >> approval >> moved
    moved >> close_run(moved).as_teardown()


rollback_dag = champion_rollback()
