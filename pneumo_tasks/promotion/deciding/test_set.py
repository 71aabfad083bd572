"""The test set may grow; where it loses films, somebody has said so in the ledger."""

import pandas as pd

from pneumo_tasks.errors import FinalError, PromotionRefused
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.record import read_recorded, read_test_scores
from pneumo_tasks.promotion.deciding.gate import at_least, at_most
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import append_sealed, refuse_unsigned
from pneumo_tasks.promotion.protocol.document import TestSetRules
from pneumo_tasks.promotion.protocol.governing import check_consent
from pneumo_tasks.promotion.registry.champion import read_recorded_manifest, registered_evaluation
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.rule import Rule
from pneumo_tasks.settings import Settings
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
        manifest = read_recorded_manifest(store, evaluation.champion.version)
        before = read_test_scores(store, registered_evaluation(store, manifest))
        unexplained = _unexplained(store, before, _films(read_test_scores(store, evaluation)))
    except FinalError as error:
        return [at_most(NAME, None, 0, f"the test films of the two runs cannot be compared: {error}")]
    return [at_most(NAME, float(unexplained), 0, _WHY)]


def set_rules(rules: TestSetRules, store: ObjectStore, evaluation: Evaluation) -> list[Rule]:
    """What the protocol says of the test set: how often its films may be asked, and whether it may change."""
    found = []
    if rules.most_looks is not None:
        asked = evaluation.exposure.most if evaluation.exposure else evaluation.looks
        why = "candidates that the most asked film has judged; new test patients bring rested films"
        found.append(at_most("looks at a test film", float(asked), rules.most_looks, why))
    if rules.frozen and evaluation.champion is not None:
        before = read_recorded_manifest(store, evaluation.champion.version).test_set_id
        why = f"the champion was judged on test set {before}, this candidate on {evaluation.test_set_id}"
        found.append(at_least("test set is frozen", float(before == evaluation.test_set_id), 1, why))
    if rules.may_add:
        found.append(_of_named_senders(rules.may_add, store, evaluation))
    return found


def _of_named_senders(named: tuple[str, ...], store: ObjectStore, evaluation: Evaluation) -> Rule:
    """Every test film came in a batch whose id begins with a prefix of the protocol."""
    name = "test films of senders that the protocol does not name"
    try:
        batches = read_test_scores(store, evaluation)["batch_id"].astype(str)
    except FinalError as error:
        return at_most(name, None, 0, f"the test films cannot be read: {error}")
    others = batches[~batches.str.startswith(named)]
    of = f"; now of {', '.join(sorted(set(others))[:3])}" if len(others) else ""
    why = f"ids of batches that bring test films begin with {', '.join(named)}{of}"
    return at_most(name, float(len(others)), 0, why)


def accept_test_set(
    settings: Settings, store: ObjectStore, run_id: str, request: ChangeRequest
) -> ledger.LedgerEntry:
    """Write into the ledger that films which the test set of ``run_id`` lacks are rightly gone.

    PromotionRefused without a reason; FinalError where the run was never evaluated.
    """
    if not request.reason.strip():
        raise PromotionRefused(
            "a changed test set needs a reason", where=run_id, do="Say why, with --reason."
        )
    check_consent(settings, store, request.by, request.approval)
    recorded = read_recorded(store, run_id)
    refuse_unsigned(settings, store)
    return append_sealed(
        settings,
        store,
        ledger.NewEntry(
            kind="test-set-changed",
            version=None,
            run_id=run_id,
            attempt=f"test-set-changed-{recorded.evaluation.test_set_id}",
            by=request.by,
            reason=request.reason,
            approval=request.approval,
            decision=recorded.document,
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
            accepted_one = read_recorded(store, str(entry.run_id), entry.decision).evaluation
            missing &= _films(read_test_scores(store, accepted_one))
    return len(missing)


def _films(scores: pd.DataFrame) -> Films:
    return set(zip(scores["sha256"], scores["label"], strict=True))
