"""The daily watch over the champion: wiring only. An alarm asks a person, and nothing is done by itself."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from pneumo_airflow.assets import OUTCOMES
from pneumo_airflow.links import page_url
from pneumo_airflow.notices import send_notice
from pneumo_airflow.reviews import read_review, review_task
from pneumo_airflow.stages import DEFAULTS, WATCH_DAG_ID, running_task
from pneumo_airflow.timetables import DailyRuns, RunsOnRequest
from pneumo_tasks import pipeline
from pneumo_tasks.settings import Settings

SETTINGS = Settings.load()
OFF = SETTINGS.watch_schedule == "none"
DAILY = RunsOnRequest() if OFF else DailyRuns(SETTINGS.watch_schedule, timezone="UTC")
KEEP, ROLL_BACK, RETRAIN = "keep", "roll back", "retrain"


@task
def watch_outcomes() -> dict[str, Any]:
    now = running_task()
    found = pipeline.watch(now.run)
    if found is None:
        now.context["ti"].xcom_push("note", "no champion to watch")
        raise AirflowSkipException("There is no champion to watch.")
    now.context["ti"].xcom_push("note", found.sentence)
    if found.faults:
        send_notice(now.context, "Pneumo: a file of outcomes is wrong", "; ".join(found.faults))
    return found.model_dump(mode="json", include={"seq", "version", "imports", "due", "sentence"})


@task.branch
def ask_for_review(watched: dict[str, Any]) -> str:
    from pneumo_tasks.monitoring.note import review_request

    if not watched["due"]:
        return "close_run"
    now = running_task()
    request = review_request(now.run.store, page_url("watch"))
    now.context["ti"].xcom_push("request", request)
    return "review_alarm"


@task
def record_answer(watched: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    from pneumo_tasks.monitoring.note import what_to_do
    from pneumo_tasks.monitoring.reviews import record_review

    now, said = running_task(), read_review(answer)
    if said is None:
        raise AirflowSkipException("Nobody answered: the review stays open, and the next watch asks again.")
    review = record_review(now.run.store, watched["version"], said, watched["imports"], watched["seq"])
    send_notice(now.context, f"Pneumo: {said.answer}", what_to_do(review), page_url("watch"))
    return {"note": what_to_do(review)}


@task(trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS)
def close_run(answered: dict[str, Any] | None) -> str:
    now = running_task()
    watched = now.context["ti"].xcom_pull(task_ids="watch_outcomes", key="note")
    note = answered["note"] if answered else str(watched or "the watch failed")
    now.context["ti"].xcom_push("note", note)
    return note


@dag(
    dag_id=WATCH_DAG_ID,
    dag_display_name="Champion watch",
    description="What outcomes say of the live version, with bounds; an alarm opens a review",
    schedule=AssetOrTimeSchedule(timetable=DAILY, assets=[OUTCOMES]),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1 + SETTINGS.approval_hours),
    tags=["pneumo", "champion", "daily"],
    doc_md=str(Path(__file__).with_suffix(".md")),
    default_args=DEFAULTS,
)
def champion_watch() -> None:
    watched = watch_outcomes()
    asked = ask_for_review(watched)
    answer = review_task(
        "review_alarm",
        requested_by="ask_for_review",
        options=[KEEP, ROLL_BACK, RETRAIN],
        hours=SETTINGS.approval_hours,
    )
    answered = record_answer(watched, answer.output)
    closed = close_run(answered)
    asked >> answer >> answered
    asked >> closed
    closed.as_teardown(on_failure_fail_dagrun=True)


watch_dag = champion_watch()
