"""The weekly retraining: wiring only. What each task does lives in ``pneumo_tasks``."""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import CronTriggerTimetable, TriggerRule, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from pneumo_airflow import DAG_ID, GPU, RETRY_POLICY, record_failure, run_params, stage
from pneumo_tasks.settings import Settings

SETTINGS = Settings.load()
SCHEDULE = None if SETTINGS.schedule == "none" else CronTriggerTimetable(SETTINGS.schedule, timezone="UTC")


@task
def discover_batches() -> list[str]:
    from pneumo_tasks import journal
    from pneumo_tasks.dataset.shards import MOST_MAPPED
    from pneumo_tasks.intake.batches import discover_batches

    with stage() as now:
        journal.record_start(now.store, now.run_id, {"params": dict(now.context["params"])})
        waiting = discover_batches(now.store, now.settings.stale_hours)
        return waiting[:MOST_MAPPED]  # the others wait for the next run


@task(map_index_template="{{ batch_id }}")
def validate_batch(batch_id: str) -> dict:
    from pneumo_tasks.intake.validation import validate_batch

    get_current_context()["batch_id"] = batch_id
    with stage(batch_id) as now:
        verdict = validate_batch(now.settings, now.store, batch_id)
        return verdict.model_dump(mode="json", exclude={"rejected"})


@task(trigger_rule=TriggerRule.ALL_DONE)
def assemble_dataset(discovered: list[str] | None) -> dict:
    from pneumo_tasks.dataset.snapshots import assemble_dataset
    from pneumo_tasks.intake.batches import discover_batches
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
    from pneumo_tasks.training.features import extract_features

    get_current_context()["shard"] = f"shard {', '.join(shards[:3])}{' and more' if shards[3:] else ''}"
    done = []
    for shard_id in shards:
        with stage(shard_id) as now:
            done.append(extract_features(now.settings, now.store, snapshot["snapshot_id"], shard_id))
    return done


@task(**GPU)
def train_head(snapshot: dict) -> dict:
    from pneumo_tasks.training.head import train_head

    with stage() as now:
        return train_head(now.settings, now.store, now.run_id, snapshot["snapshot_id"])


@task(**GPU)
def fine_tune_block5(snapshot: dict) -> dict:
    from pneumo_tasks.training.fine_tuning import fine_tune_block5

    with stage() as now:
        return fine_tune_block5(now.settings, now.store, now.run_id, snapshot["snapshot_id"])


@task(**GPU)
def evaluate_candidate(snapshot: dict) -> dict:
    from pneumo_tasks.evaluation.evaluation import evaluate_candidate
    from pneumo_tasks.promotion.registry import champion_ref

    with stage() as now:
        champion = champion_ref(now.store)
        return evaluate_candidate(now.settings, now.store, now.run_id, snapshot["snapshot_id"], champion)


@task
def decide_promotion(snapshot: dict) -> dict:
    from pneumo_tasks.promotion.decision import decide_promotion

    with stage() as now:
        return decide_promotion(now.settings, now.store, now.run_id, snapshot["snapshot_id"])


@task
def write_report() -> dict:
    from pneumo_tasks.promotion.report import write_report

    with stage() as now:
        return write_report(now.settings, now.store, now.run_id)


@task
def promote_model(decision: dict) -> dict:
    from pneumo_tasks.promotion.registry import promote_model
    from pneumo_tasks.promotion.report import write_report

    if decision["decision"] != "approved":
        raise AirflowSkipException(f"Not promoted: {decision['reason']}")
    with stage() as now:
        promoted = promote_model(now.settings, now.store, now.run_id)
        write_report(now.settings, now.store, now.run_id)  # so that it says what became of the approval
        return promoted


@dag(
    dag_id=DAG_ID,
    dag_display_name="Pneumonia retraining",
    description="Validate, train, evaluate, gate and promote the chest X-ray pneumonia classifier",
    schedule=SCHEDULE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=24),
    params=run_params(SETTINGS),
    tags=["pneumo", "retraining", "weekly"],
    doc_md=str(Path(__file__).with_suffix(".md")),
    default_args={
        "owner": "pneumo",
        "retries": 5,  # with the delays below: a store or a worker may be away for five minutes
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": RETRY_POLICY,
        "execution_timeout": timedelta(hours=8),
        "on_failure_callback": record_failure,
    },
)
def pneumonia_retraining() -> None:
    discovered = discover_batches()
    validated = validate_batch.expand(batch_id=discovered)
    snapshot = assemble_dataset(discovered)
    balance = compute_class_balance(snapshot)
    features = extract_features.partial(snapshot=snapshot).expand(shards=list_shards(snapshot))
    head = train_head(snapshot)
    fine_tuned = fine_tune_block5(snapshot)
    evaluated = evaluate_candidate(snapshot)
    decision = decide_promotion(snapshot)
    promoted = promote_model(decision)
    validated >> snapshot
    balance >> features >> head >> fine_tuned >> evaluated >> decision
    decision >> write_report() >> promoted


retraining = pneumonia_retraining()
