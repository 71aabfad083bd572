"""The weekly retraining: each task is a door to a stage of ``pneumo_tasks.pipeline``, and decides nothing."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, TaskGroup, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from pneumo_airflow.assets import BATCH, CHAMPION, champion_event
from pneumo_airflow.form import run_params
from pneumo_airflow.links import batch_task, page_url, reporting_task
from pneumo_airflow.notices import send_notice
from pneumo_airflow.reviews import PROMOTE, approval_task, read_kept_answer
from pneumo_airflow.stages import (
    DAG_ID,
    DEFAULTS,
    GPU,
    deadline,
    handed,
    running_task,
    started_by,
    told,
    with_signing_key,
)
from pneumo_airflow.timetables import RunsOnRequest, WeeklyRuns
from pneumo_tasks import pipeline
from pneumo_tasks.settings import Settings

SETTINGS = Settings.load()
WEEKLY = RunsOnRequest() if SETTINGS.schedule == "none" else WeeklyRuns(SETTINGS.schedule, timezone="UTC")


def id_of(snapshot: dict[str, Any] | None) -> str:
    return str(handed(snapshot, "assemble_dataset")["snapshot_id"])


@task
def discover_batches() -> list[str]:
    now = running_task()
    return pipeline.discover(now.run, now.context["params"], started_by(now.context)).batches


@batch_task(map_index_template="{{ batch_id }}")
def validate_batch(batch_id: str) -> dict[str, Any]:
    get_current_context()["batch_id"] = batch_id
    now = running_task()
    verdict = pipeline.validate(now.run, batch_id)
    if verdict.state == "rejected":
        url = page_url("batch", batch_id=batch_id)
        send_notice(now.context, f"Pneumo: batch {batch_id} rejected", "; ".join(verdict.reasons), url)
    return verdict.model_dump(mode="json", exclude={"rejected"})


@task(trigger_rule=TriggerRule.ALL_DONE)
def assemble_dataset(discovered: list[str] | None) -> dict[str, Any]:
    handed(discovered, "discover_batches")  # a failed validation does not stop the others; this does
    assembled = pipeline.assemble(running_task().run)
    if assembled.snapshot is None:
        raise AirflowSkipException(f"Nothing new: {assembled.nothing_new}.")
    return assembled.snapshot.model_dump(mode="json")


@task
def compute_class_balance(snapshot: dict[str, Any]) -> dict[str, Any]:
    return pipeline.balance(told(assemble_dataset=snapshot), id_of(snapshot)).model_dump(mode="json")


@task
def list_shards(snapshot: dict[str, Any]) -> list[list[str]]:
    from pneumo_tasks.dataset.shards import in_groups

    return in_groups(handed(snapshot, "assemble_dataset")["shards"])


@task(**GPU, map_index_template="{{ shard }}")
def extract_features(snapshot: dict[str, Any], shards: list[str]) -> list[dict[str, Any]]:
    get_current_context()["shard"] = f"shard {', '.join(shards[:3])}{' and more' if shards[3:] else ''}"
    run, snapshot_id = told(assemble_dataset=snapshot), id_of(snapshot)
    return [pipeline.extract(run, snapshot_id, shard_id).model_dump(mode="json") for shard_id in shards]


@task(**GPU)
def score_unseen(snapshot: dict[str, Any], features: list[Any]) -> dict[str, Any]:
    run = told(assemble_dataset=snapshot, extract_features=features)
    return pipeline.score_unseen(run, id_of(snapshot)).model_dump(mode="json")


@task(**GPU)
def train_head(snapshot: dict[str, Any], balance: dict[str, Any], features: list[Any]) -> dict[str, Any]:
    run = told(assemble_dataset=snapshot, compute_class_balance=balance, extract_features=features)
    return pipeline.train(run, id_of(snapshot)).model_dump(mode="json")


@task(**GPU)
def fine_tune_block5(
    snapshot: dict[str, Any], balance: dict[str, Any], features: list[Any], head: dict[str, Any]
) -> dict[str, Any]:
    run = told(
        assemble_dataset=snapshot, compute_class_balance=balance, extract_features=features, train_head=head
    )
    return pipeline.tune(run, id_of(snapshot)).model_dump(mode="json")


@task(**GPU)
def export_candidate(
    snapshot: dict[str, Any],
    balance: dict[str, Any],
    features: list[Any],
    head: dict[str, Any],
    fine_tuned: dict[str, Any],
) -> dict[str, Any]:
    run = told(
        assemble_dataset=snapshot,
        compute_class_balance=balance,
        extract_features=features,
        train_head=head,
        fine_tune_block5=fine_tuned,
    )
    return pipeline.export(run, id_of(snapshot)).model_dump(mode="json")


@task(**GPU)
def evaluate_candidate(snapshot: dict[str, Any], exported: dict[str, Any]) -> dict[str, Any]:
    run = told(assemble_dataset=snapshot, export_candidate=exported)
    return pipeline.evaluate(run, id_of(snapshot)).model_dump(mode="json")


@task
def decide_promotion(snapshot: dict[str, Any], evaluated: dict[str, Any]) -> dict[str, Any]:
    from pneumo_tasks.evaluation.evidence import Evaluated

    run = told(assemble_dataset=snapshot, evaluate_candidate=evaluated)
    run = replace(run, settings=with_signing_key(run.settings))
    found = pipeline.decide(run, id_of(snapshot), Evaluated.model_validate(evaluated))
    return found.model_dump(mode="json")


@reporting_task()
def write_report() -> dict[str, Any]:
    return pipeline.report(running_task().run).model_dump(mode="json")


@task.branch
def ask_for_approval(decided: dict[str, Any], reported: dict[str, Any]) -> str:
    from pneumo_tasks.promotion.judgement import Decided
    from pneumo_tasks.promotion.report.note import approval_request

    now = running_task()
    handed(reported, "write_report")  # nobody approves, and nothing is promoted, without one
    if not pipeline.ask(now.run, Decided.model_validate(handed(decided, "decide_promotion"))):
        return "promote_model"
    request = approval_request(now.run.store, now.run.run_id, page_url("run", run_id=now.run.run_id))
    now.context["ti"].xcom_push("request", request)
    return "approve_promotion"


@reporting_task(outlets=[CHAMPION], trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def promote_model(decided: dict[str, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    from pneumo_tasks.promotion.judgement import Decided
    from pneumo_tasks.promotion.registry.champion import champion_summary

    now = running_task()
    run = replace(now.run, settings=with_signing_key(now.run.settings))
    person = read_kept_answer(run, answer)
    settled = pipeline.promote(run, Decided.model_validate(handed(decided, "decide_promotion")), person)
    if settled.seq is None:
        raise AirflowSkipException(f"Not promoted: {settled.reason}")
    champion = champion_summary(run.store)
    if champion is not None:
        now.context["outlet_events"][CHAMPION].extra = champion_event(champion)
    return settled.model_dump(include={"version", "sha256", "seq"})


@reporting_task(trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS)
def close_run() -> str:
    now = running_task()
    closed = pipeline.close(now.run)
    now.context["ti"].xcom_push("note", closed.note)
    if closed.state not in ("success", "waiting"):
        raise AirflowFailException(f"{closed.state}: {closed.reason}")  # this task decides how the run ends
    if closed.is_news:
        url = page_url("run", run_id=now.run.run_id)
        send_notice(now.context, f"Pneumo: {closed.decision}", closed.note, url)
    return closed.note


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
        unseen = score_unseen(snapshot, features)
        head = train_head(snapshot, balance, features)
        fine_tuned = fine_tune_block5(snapshot, balance, features, head)
        exported = export_candidate(snapshot, balance, features, head, fine_tuned)
    with TaskGroup("judgement", prefix_group_id=False, tooltip="Is it good enough, and better?"):
        evaluated = evaluate_candidate(snapshot, exported)
        decision = decide_promotion(snapshot, evaluated)
        reported = write_report()
    with TaskGroup("promotion", prefix_group_id=False, tooltip="A person's word, then the pointer"):
        asked = ask_for_approval(decision, reported)
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
    (
        balance
        >> features
        >> unseen
        >> head
        >> fine_tuned
        >> exported
        >> evaluated
        >> decision
        >> reported
        >> asked
    )
    asked >> [approval, promoted]
    promoted >> close_run().as_teardown(on_failure_fail_dagrun=True)


retraining = pneumonia_retraining()
