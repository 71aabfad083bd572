"""The weekly retraining: wiring only. What each task does lives in ``pneumo_tasks``."""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import AssetOrTimeSchedule, TaskGroup, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from pneumo_airflow.assets import BATCH, CHAMPION, champion_event
from pneumo_airflow.form import check_params, run_params
from pneumo_airflow.links import batch_task, page_url, reporting_task
from pneumo_airflow.notices import send_notice
from pneumo_airflow.reviews import PROMOTE, approval_task, read_answer
from pneumo_airflow.stages import DAG_ID, DEFAULTS, GPU, deadline, opened, stage, started_by, with_signing_key
from pneumo_airflow.timetables import RunsOnRequest, WeeklyRuns
from pneumo_tasks.settings import Settings

SETTINGS = Settings.load()
WEEKLY = RunsOnRequest() if SETTINGS.schedule == "none" else WeeklyRuns(SETTINGS.schedule, timezone="UTC")


@task
def discover_batches() -> list[str]:
    from pneumo_tasks import journal
    from pneumo_tasks.dataset.shards import MOST_MAPPED
    from pneumo_tasks.intake.batch_list import discover_batches

    params = dict(get_current_context()["params"])
    check_params(params)  # the form refuses them too; a command line or a backfill does not
    with stage() as now:
        facts = {"params": params, "by": started_by(now.context)}
        journal.record_start(now.store, now.run_id, facts | {"approval_hours": now.settings.approval_hours})
        waiting = discover_batches(now.store, now.settings.stale_hours)
        return waiting[:MOST_MAPPED]  # the others wait for the next run


@batch_task(map_index_template="{{ batch_id }}")
def validate_batch(batch_id: str) -> dict:
    from pneumo_tasks.intake.validation import validate_batch

    get_current_context()["batch_id"] = batch_id
    with stage(batch_id) as now:
        verdict = validate_batch(now.settings, now.store, batch_id)
    if verdict.state == "rejected":
        url = page_url("batch", batch_id=batch_id)
        send_notice(now.context, f"Pneumo: batch {batch_id} rejected", "; ".join(verdict.reasons), url)
    return verdict.model_dump(mode="json", exclude={"rejected"})


@task(trigger_rule=TriggerRule.ALL_DONE)
def assemble_dataset(discovered: list[str] | None) -> dict:
    from pneumo_tasks.dataset.snapshots import assemble_dataset
    from pneumo_tasks.intake.batch_list import discover_batches
    from pneumo_tasks.promotion.decision import record_nothing_new

    if discovered is None:  # a failed validation does not stop the others; a failed discovery does
        raise AirflowFailException("discover_batches did not finish: clear it and what follows.")
    with stage() as now:
        snapshot = assemble_dataset(now.settings, now.store)
        if snapshot is None or not (snapshot.new or now.settings.force):
            if waiting := discover_batches(now.store, now.settings.stale_hours):
                raise AirflowFailException(f"No verdict on {', '.join(waiting)}: see validate_batch.")
            reason = "no image was accepted yet" if snapshot is None else "no new image was accepted"
            record_nothing_new(now.store, now.run_id, snapshot and snapshot.snapshot_id, reason)
            raise AirflowSkipException(f"Nothing new: {reason} ({len(discovered)} batches were validated).")
        return snapshot.model_dump(mode="json")


@task
def compute_class_balance(snapshot: dict) -> dict:
    from pneumo_tasks.dataset.balance import compute_class_balance

    with stage() as now:
        balance = compute_class_balance(now.settings, now.store, now.run_id, snapshot["snapshot_id"])
        return balance.model_dump(mode="json")


@task
def list_shards(snapshot: dict) -> list[list[str]]:
    from pneumo_tasks.dataset.shards import in_groups

    return in_groups(snapshot["shards"])


@task(**GPU, map_index_template="{{ shard }}")
def extract_features(snapshot: dict, shards: list[str]) -> list[dict]:
    from pneumo_tasks.training.features.extract import extract_features

    get_current_context()["shard"] = f"shard {', '.join(shards[:3])}{' and more' if shards[3:] else ''}"
    done = []
    for shard_id in shards:
        with stage(shard_id) as now:
            done.append(extract_features(now.settings, now.store, snapshot["snapshot_id"], shard_id))
    return done


@task(**GPU)
def train_head(snapshot: dict) -> dict:
    from pneumo_tasks.training.fitting.head import train_head

    with stage() as now:
        return train_head(now.settings, now.store, now.run_id, snapshot["snapshot_id"])


@task(**GPU)
def fine_tune_block5(snapshot: dict) -> dict:
    from pneumo_tasks.training.fitting.fine_tuning import fine_tune_block5

    with stage() as now:
        return fine_tune_block5(now.settings, now.store, now.run_id, snapshot["snapshot_id"])


@task(**GPU)
def evaluate_candidate(snapshot: dict) -> dict:
    from pneumo_tasks.evaluation.evaluation import evaluate_candidate
    from pneumo_tasks.promotion.registry.promotion import champion_ref

    with stage() as now:
        champion = champion_ref(now.store)
        return evaluate_candidate(now.settings, now.store, now.run_id, snapshot["snapshot_id"], champion)


@task
def decide_promotion(snapshot: dict) -> dict:
    from pneumo_tasks.promotion.decision import decide_promotion

    with stage() as now:
        return decide_promotion(now.settings, now.store, now.run_id, snapshot["snapshot_id"])


@reporting_task()
def write_report() -> dict:
    from pneumo_tasks.promotion.report.report import write_report

    with stage() as now:
        return write_report(now.settings, now.store, now.run_id)


@task.branch
def ask_for_approval(decision: dict) -> str:
    from pneumo_tasks.promotion.runs.note import approval_request

    now = opened(get_current_context())
    if decision["decision"] != "approved" or now.settings.dry_run or not now.settings.require_approval:
        return "promote_model"
    request = approval_request(now.store, now.run_id, page_url("run", run_id=now.run_id))
    now.context["ti"].xcom_push("request", request)
    return "approve_promotion"


@reporting_task(outlets=[CHAMPION], trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def promote_model(decision: dict, answer: dict | None) -> dict:
    from pneumo_tasks.evaluation.revisions import Revision
    from pneumo_tasks.promotion.registry.promotion import champion_summary
    from pneumo_tasks.promotion.registry.settling import settle

    if decision["decision"] != "approved":
        raise AirflowSkipException(f"Not promoted: {decision['reason']}")
    now = opened(get_current_context())
    if now.settings.dry_run:
        raise AirflowSkipException("Not promoted: a dry run. The report says what would have been.")
    with stage() as now:
        settings, person = with_signing_key(now.settings), read_answer(answer, now.settings.approval_hours)
        judged = Revision.model_validate(decision["document"])
        settled = settle(settings, now.store, now.run_id, person, judged)
    if settled.seq is None:
        raise AirflowSkipException(f"Not promoted: {settled.reason}")
    champion = champion_summary(now.store)
    if champion is not None:
        now.context["outlet_events"][CHAMPION].extra = champion_event(champion)
    return settled.model_dump(include={"version", "sha256", "seq"})


@reporting_task(trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS)
def close_run() -> str:
    from pneumo_tasks.promotion.runs.index import close_ended, enter_missing
    from pneumo_tasks.promotion.runs.note import run_note

    now = opened(get_current_context())
    run = close_ended(now.store, now.run_id)
    enter_missing(now.store)
    note = run_note(run)
    now.context["ti"].xcom_push("note", note)
    if run.state != "success":
        raise AirflowFailException(f"{run.state}: {run.reason}")  # this task decides how the run ends
    if run.decision in ("promoted", "rejected", "identical"):
        send_notice(now.context, f"Pneumo: {run.decision}", note, page_url("run", run_id=now.run_id))
    return note


@dag(
    dag_id=DAG_ID,
    dag_display_name="Pneumonia retraining",
    description="Validate, train, evaluate, gate and promote the chest X-ray pneumonia classifier",
    schedule=AssetOrTimeSchedule(timetable=WEEKLY, assets=[BATCH]),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=24 + SETTINGS.approval_hours),
    deadline=deadline(SETTINGS),
    params=run_params(SETTINGS),
    tags=["pneumo", "retraining", "weekly"],
    doc_md=str(Path(__file__).with_suffix(".md")),
    default_args=DEFAULTS,
)
def pneumonia_retraining() -> None:
    with TaskGroup("data", prefix_group_id=False, tooltip="Which images may be trained on"):
        discovered = discover_batches()
        validated = validate_batch.expand(batch_id=discovered)
        snapshot = assemble_dataset(discovered)
        balance = compute_class_balance(snapshot)
        shards = list_shards(snapshot)
    with TaskGroup("training", prefix_group_id=False, tooltip="From images to a candidate"):
        features = extract_features.partial(snapshot=snapshot).expand(shards=shards)
        head = train_head(snapshot)
        fine_tuned = fine_tune_block5(snapshot)
    with TaskGroup("judgement", prefix_group_id=False, tooltip="Is it good enough, and better?"):
        evaluated = evaluate_candidate(snapshot)
        decision = decide_promotion(snapshot)
        reported = write_report()
    with TaskGroup("promotion", prefix_group_id=False, tooltip="A person's word, then the pointer"):
        asked = ask_for_approval(decision)
        approval = approval_task(
            "approve_promotion",
            "Promote the candidate of {{ run_id }}?",
            requested_by="ask_for_approval",
            yes=PROMOTE,
            remark="Why",
            hours=SETTINGS.approval_hours,
            notice="Pneumo: a candidate waits for your approval",
        )
        promoted = promote_model(decision, approval.output)
    validated >> snapshot
    balance >> features >> head >> fine_tuned >> evaluated >> decision >> reported >> asked
    asked >> [approval, promoted]
    promoted >> close_run().as_teardown(on_failure_fail_dagrun=True)


retraining = pneumonia_retraining()
