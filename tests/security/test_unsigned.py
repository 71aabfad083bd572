"""What no signature guards: who refuses and who is misled, compared with docs/security-matrix.md."""

from pathlib import Path

import pytest

from pneumo_tasks.dataset.seen import record_seen
from pneumo_tasks.dataset.snapshots import assemble_dataset
from pneumo_tasks.evaluation.looks import record_films, record_look
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.films import good_files, write
from tests.security import matrix, unsigned
from tests.security.test_matrix import _compare


@pytest.fixture
def bucket(settings: Settings, store: ObjectStore, tmp_path: Path) -> matrix.Bucket:
    sent = (("train-1", "train", 0, 20), ("test-1", "test", 20, 12), ("old-1", "train", 40, 6))
    for batch_id, split, start, count in sent:
        upload_batch(settings, store, write(tmp_path / batch_id, good_files(count, start)), batch_id, split)
        assert validate_batch(settings, store, batch_id).accepted == count
    withdraw_batch(store, "old-1", "anna", "consent was taken back")
    snapshot = assemble_dataset(settings, store)
    assert snapshot is not None
    record_seen(store, snapshot.snapshot_id)
    record_films(store, unsigned.TEST_SET, ["0" * 64, "1" * 64])
    for number, run_id in enumerate(("a", "b"), 1):
        record_look(store, unsigned.TEST_SET, run_id, "candidate", "0" * 64)
        asking = {"run_id": run_id, "sideways": "x", "test_set_id": "t", "at": f"2026-11-2{number}"}
        store.put_json(layout.asking(run_id), asking | {"test_patients": {"NORMAL": 9, "PNEUMONIA": 9}})
        study = f"study-{number}"
        row = Outcome(version="v", study=study, probability=0.5, diagnosis="NORMAL")
        import_outcomes(store, [row], "anna")
    return matrix.whole(store)


@pytest.mark.slow
def test_who_refuses_and_who_is_misled_by_what_no_signature_guards(
    settings: Settings, store: ObjectStore, bucket: matrix.Bucket
) -> None:
    honest = unsigned.answers(settings, store)
    assert all(honest.values()), "an honest bucket is refused"
    cells = {
        (kind.name, how): unsigned.cell(settings, store, honest, unsigned.attacked(how, kind, bucket))
        for kind in unsigned.KINDS
        for how in unsigned.ATTACKS
    }
    _compare("### Tried", unsigned.table(cells))
