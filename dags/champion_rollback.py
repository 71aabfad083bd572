"""Going back to a former champion: wiring only. A person chooses, says why, and another look approves."""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from pneumo_airflow.assets import CHAMPION, champion_event
from pneumo_airflow.links import page_url
from pneumo_airflow.notices import send_notice
from pneumo_airflow.reviews import KEEP, ChooseVersion, approval_task, read_answer, reason_param
from pneumo_airflow.stages import DEFAULTS, ROLLBACK_DAG_ID, opened
from pneumo_airflow.timetables import RunsOnRequest
from pneumo_tasks.settings import Settings

SETTINGS = Settings.load()
ROLL_BACK = "roll back"
WAIT = timedelta(hours=SETTINGS.approval_hours)


@task
def list_former_champions() -> list[str]:
    from pneumo_tasks.promotion.runs.note import former_champions_table

    now = opened(get_current_context())
    versions, table = former_champions_table(now.store)
    if not versions:
        raise AirflowSkipException("There is no former champion to go back to.")
    now.context["ti"].xcom_push("request", f"{table}\n\n[The whole ledger]({page_url('ledger')})")
    return versions


@task
def check_choice(choice: dict) -> dict:
    from pneumo_tasks.promotion.runs.note import rollback_request

    now = opened(get_current_context())
    (version,) = choice["chosen_options"]
    reason = str((choice["params_input"] or {}).get("reason") or "").strip()
    person = choice["responded_by_user"]
    if version == KEEP or person is None:
        raise AirflowSkipException("The champion stays: nobody chose another version.")
    if not reason:
        raise AirflowSkipException("The champion stays: no reason was given. Trigger again and say why.")
    wanted = {"version": version, "reason": reason, "by": str(person["name"] or person["id"])}
    card = page_url("model", version=version)
    now.context["ti"].xcom_push("request", rollback_request(now.store, **wanted, card=card))
    return wanted


@task(outlets=[CHAMPION])
def move_champion(wanted: dict, answer: dict) -> dict:
    from pneumo_tasks.promotion.registry.promotion import champion_summary
    from pneumo_tasks.promotion.registry.rollback import ChangeRequest, rollback

    now = opened(get_current_context())
    approval = read_answer(answer, now.settings.approval_hours, yes=ROLL_BACK)
    if approval is None or approval.verdict == "reject":
        raise AirflowSkipException(f"The champion stays: {approval.sentence if approval else 'no answer'}.")
    request = ChangeRequest(reason=wanted["reason"], by=wanted["by"], approval=approval, attempt=now.run_id)
    moved = rollback(now.settings, now.store, wanted["version"], request)
    champion = champion_summary(now.store)
    if champion is not None:
        now.context["outlet_events"][CHAMPION].extra = champion_event(champion)
    return moved


@task(trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS)
def close_run(moved: dict | None) -> str:
    from pneumo_tasks.promotion.registry.promotion import champion_summary

    now = opened(get_current_context())
    champion = champion_summary(now.store)
    version = champion["version"] if champion else "none"
    note = f"rolled back to {version}" if moved else f"the champion stays: {version}"
    now.context["ti"].xcom_push("note", note)
    if moved:
        send_notice(now.context, f"Pneumo: {note}", f"By run {now.run_id}.", page_url("ledger"))
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
