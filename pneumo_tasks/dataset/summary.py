"""What is written of a snapshot besides its rows: counts, sources, and whether its splits are independent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


class IndependenceCheck(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    value: int
    limit: int
    verdict: Literal["pass", "fail"]


class SnapshotSummary(BaseModel):
    """What the report says about the data.

    ``tables`` are the sha256 of the rows' files; empty in snapshots of earlier releases.
    """

    model_config = ConfigDict(frozen=True)

    snapshot_id: str
    test_set_id: str
    created_at: str
    counts: dict[str, dict[str, int]]
    patients: dict[str, int]
    families: dict[str, dict[str, int]]
    batches: list[dict[str, Any]]
    received: int
    quarantined: int
    excluded: list[dict[str, str]]
    synthetic: bool
    checks: list[IndependenceCheck]
    tables: dict[str, str] = {}

    def test_films(self, label: str) -> int:
        """How many films of the test set have ``label``."""
        return self.counts.get("test", {}).get(label, 0)


def snapshot_summary(store: ObjectStore, snapshot_id: str, expected_sha256: str = "") -> SnapshotSummary:
    """The summary; CorruptArtefact where it is not the one that is expected."""
    key = layout.dataset(snapshot_id, "summary.json")
    body = store.get(key, expected_sha256 or None).body
    try:
        return SnapshotSummary.model_validate_json(body)
    except ValueError as error:
        found = " ".join(str(error).split())[:200]
        raise CorruptArtefact("not the summary of a snapshot", where=key, found=found) from None
