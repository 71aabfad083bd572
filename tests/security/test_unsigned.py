"""What no signed document names: who refuses and who is misled, compared with docs/security-matrix.md."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pneumo_tasks.dataset.seen import record_seen
from pneumo_tasks.dataset.snapshots import assemble_dataset
from pneumo_tasks.evaluation.looks import record_films, record_look
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.sealing.inventory import unguarded
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.films import good_files, write
from tests.promotion.keys import key_pair
from tests.security import matrix, unsigned
from tests.security.test_matrix import _compare

MENDED = [("sum of the tally", "deleted")]  # a sum that is missing costs reads, and never an answer


@pytest.fixture(params=[False, True], ids=["without a key", "with a key"])
def attacked_settings(settings: Settings, store: ObjectStore, request: pytest.FixtureRequest) -> Settings:
    """Of a bucket that is there; with a key to sign with and to trust, or without."""
    private, public = key_pair()
    return settings.model_copy(
        update={"signing_key": private, "trusted_key": public} if request.param else {}
    )


@pytest.fixture
def bucket(attacked_settings: Settings, store: ObjectStore, tmp_path: Path) -> matrix.Bucket:
    settings, writer = attacked_settings, ObjectStore.connect(attacked_settings)
    sent = (("train-1", "train", 0, 20), ("test-1", "test", 20, 12), ("old-1", "train", 40, 6))
    for batch_id, split, start, count in sent:
        upload_batch(settings, writer, write(tmp_path / batch_id, good_files(count, start)), batch_id, split)
        assert validate_batch(settings, writer, batch_id).accepted == count
    withdraw_batch(writer, "old-1", "anna", "consent was taken back")
    snapshot = assemble_dataset(settings, writer)
    assert snapshot is not None
    record_seen(writer, snapshot.snapshot_id)
    record_films(writer, unsigned.TEST_SET, ["0" * 64, "1" * 64])
    for number, run_id in enumerate(("a", "b"), 1):
        record_look(writer, unsigned.TEST_SET, run_id, "candidate", "0" * 64)
        asking = {"run_id": run_id, "sideways": "x", "test_set_id": "t", "at": f"2026-11-2{number}"}
        writer.put_json(layout.asking(run_id), asking | {"test_patients": {"NORMAL": 9, "PNEUMONIA": 9}})
        study = f"study-{number}"
        row = Outcome(version="v", study=study, probability=0.5, diagnosis="NORMAL")
        import_outcomes(writer, [row], "anna")
    writer.put_json(layout.dataset_decision(snapshot.snapshot_id, "a"), {"run_id": "a"})
    return matrix.whole(store)


@pytest.mark.slow
def test_who_refuses_and_who_is_misled_by_what_no_signed_document_names(
    attacked_settings: Settings, bucket: matrix.Bucket
) -> None:
    with_key = attacked_settings.signing_key is not None
    honest = unsigned.answers(attacked_settings)
    assert all(honest.values()), "an honest bucket is refused"
    kinds = unsigned.kinds(with_key)
    with ThreadPoolExecutor(len(kinds)) as pool:  # most of it is waiting for reads that are repeated
        rows = list(pool.map(lambda kind: _attacked(attacked_settings, kind, bucket, honest), kinds))
    cells = {cell: found for row in rows for cell, found in row.items()}
    if with_key:
        assert [cell for cell, found in cells.items() if "misled" in found] == []
        assert [cell for cell, found in cells.items() if found == unsigned.SAME] == MENDED
    _compare("### Tried with a key" if with_key else "### Tried", unsigned.table(cells, with_key))


def _attacked(
    settings: Settings, kind: unsigned.Kind, bucket: matrix.Bucket, honest: dict[str, str]
) -> dict[tuple[str, str], str]:
    """One row of the table, in a bucket of its own."""
    own = settings.model_copy(update={"bucket": f"matrix-{uuid.uuid4().hex[:12]}"})
    store = unguarded(ObjectStore.connect(own))
    store.ensure_bucket()
    attacks = {how: unsigned.attacked(how, kind, bucket) for how in unsigned.ATTACKS}
    return {(kind.name, how): unsigned.cell(own, store, honest, left) for how, left in attacks.items()}
