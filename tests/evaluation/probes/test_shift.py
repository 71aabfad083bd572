from pneumo_tasks.evaluation.probes.shift import batch_drift
from pneumo_tasks.intake.records.checks import BatchCheck
from pneumo_tasks.intake.records.verdicts import BatchVerdict


def verdict(batch_id: str, *checks: BatchCheck) -> BatchVerdict:
    return BatchVerdict.model_construct(batch_id=batch_id, checks=list(checks))


def test_drift_of_the_batches_of_the_run_is_told_and_nothing_else() -> None:
    given = {"limit": "at most 0.8", "severity": "warning"}
    drift = BatchCheck(name="drift-thumbnails", value="adversarial AUC 0.88", verdict="fail", **given)
    other = BatchCheck(name="class-images", value="9", verdict="pass", **given)
    facts = list(batch_drift([verdict("monday", drift, other), verdict("tuesday", drift)], ["monday"]))
    assert [fact.model_dump() for fact in facts] == [
        {
            "subject": "batch monday",
            "name": "thumbnails",
            "found": "adversarial AUC 0.88",
            "limit": "at most 0.8",
            "verdict": "warning",
        }
    ]
