"""The test set may grow; where it loses films, somebody has said so in the ledger."""

import pandas as pd

from pneumo_tasks.errors import FinalError, PromotionRefused
from pneumo_tasks.evaluation.evaluation import read_evaluation, read_test_scores
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.promotion.gate import Rule, at_most
from pneumo_tasks.promotion.registry import ledger
from pneumo_tasks.promotion.registry.champion import read_pointer
from pneumo_tasks.storage.object_store import ObjectStore

NAME = "test films lost since the champion"
_WHY = (
    "every test film that judged the champion judges the candidate, unless the ledger explains its absence: "
    "`pneumo models accept-test-set RUN --reason ...` and start another run"
)

# A film with another label is another piece of evidence.
Films = set[tuple[str, str]]


def containment_rule(store: ObjectStore, evaluation: Evaluation) -> list[Rule]:
    """At most 0 films of the champion's own evaluation are missing without an entry in the ledger.

    An entry explains films if it withdrew their batch, or if it accepted, since the champion's
    promotion, a test set that lacked them too. Where the champion's test films cannot be read the
    rule fails. No rule where there is no champion.
    """
    if evaluation.champion is None:
        return []
    try:
        before = read_test_scores(store, evaluation.champion.run_id)
        unexplained = _unexplained(store, before, _films(read_test_scores(store, evaluation.run_id)))
    except FinalError as error:
        return [at_most(NAME, None, 0, f"the test films of the two runs cannot be compared: {error}")]
    return [at_most(NAME, float(unexplained), 0, _WHY)]


def accept_test_set(store: ObjectStore, run_id: str, by: str, reason: str) -> ledger.Entry:
    """Write into the ledger that films which the test set of ``run_id`` lacks are rightly gone.

    PromotionRefused without a reason; FinalError where the run was never evaluated.
    """
    if not reason.strip():
        raise PromotionRefused(
            "a changed test set needs a reason", where=run_id, do="Say why, with --reason."
        )
    evaluation = read_evaluation(store, run_id)
    return ledger.append(
        store,
        ledger.NewEntry(
            kind="test-set-changed",
            version=None,
            run_id=run_id,
            attempt=f"test-set-changed-{evaluation.test_set_id}",
            by=by,
            reason=reason,
        ),
    )


def _unexplained(store: ObjectStore, before: pd.DataFrame, today: Films) -> int:
    missing = _films(before) - today
    if not missing:
        return 0
    pointer, _ = read_pointer(store)
    entries = ledger.read_ledger(store)
    withdrawn = {entry.attempt.removeprefix("withdrawn-") for entry in entries if entry.kind == "withdrawn"}
    missing -= _films(before[before["batch_id"].isin(withdrawn)])
    for entry in entries:
        accepted = entry.kind == "test-set-changed" and entry.run_id is not None
        if accepted and missing and pointer is not None and entry.seq > pointer.seq:
            missing &= _films(read_test_scores(store, str(entry.run_id)))
    return len(missing)


def _films(scores: pd.DataFrame) -> Films:
    return set(zip(scores["sha256"], scores["label"], strict=True))
