"""The least that is written of a snapshot besides its rows; the tables of tests have no digests in it."""

from pneumo_tasks.dataset.summary import SnapshotSummary
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def summarise(store: ObjectStore, snapshot_id: str, test_set_id: str = "t") -> None:
    summary = SnapshotSummary(
        snapshot_id=snapshot_id, test_set_id=test_set_id, created_at="2026-11-25", counts={}, patients={},
        families={}, batches=[], received=0, quarantined=0, excluded=[], synthetic=True, checks=[],
    )  # fmt: skip
    store.put_json(layout.dataset(snapshot_id, "summary.json"), summary.model_dump(mode="json"))
