"""Taking a batch back: its images leave the next snapshot, its objects stay for the record."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadBatch, ConditionFailed, ObjectMissing
from pneumo_tasks.intake.batches import Batch, Progress, read_batch, read_withdrawal, upload_batch
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


class Withdrawal(BaseModel):
    """withdrawals/<batch_id>.json: who took a batch back, when and why."""

    model_config = ConfigDict(frozen=True)

    batch_id: str
    by: str
    reason: str
    at: str


def withdraw_batch(store: ObjectStore, batch_id: str, by: str, reason: str) -> Withdrawal:
    """Take a complete batch out of every later snapshot; the first withdrawal of a batch stands.

    Raises BadBatch without a reason, ObjectMissing where there is no complete batch of that id.
    """
    if not reason.strip():
        raise BadBatch("a withdrawal needs a reason", where=batch_id, do="Say why, with --reason.")
    read_batch(store, batch_id)
    withdrawal = Withdrawal(batch_id=batch_id, by=by, reason=reason, at=now())
    try:
        store.put_if_absent(layout.withdrawal(batch_id), canonical_json(withdrawal.model_dump(mode="json")))
    except ConditionFailed:
        return Withdrawal.model_validate(read_withdrawal(store, batch_id))
    return withdrawal


def resubmit_batch(
    settings: Settings, store: ObjectStore, source: Path, batch_id: str, on_progress: Progress | None = None
) -> Batch:
    """Send a corrected batch in place of ``batch_id``; it gets an id of its own, ``<batch_id>-r<n>``.

    The replaced batch counts until the new one is accepted: a failed correction loses nothing.
    """
    old, _ = read_batch(store, batch_id)
    if read_withdrawal(store, batch_id):
        raise BadBatch("the batch was withdrawn", where=batch_id, do="Upload it under another id.")
    replaces = [*old.replaces, batch_id]
    return upload_batch(
        settings, store, source, f"{replaces[0]}-r{len(replaces) + 1}", old.split, old.synthetic, on_progress,
        replaces=replaces,
    )  # fmt: skip


def read_datasheet(store: ObjectStore, batch_id: str) -> bytes:
    """datasheet.html of a validated batch; ObjectMissing where there is none yet."""
    _, digest = read_batch(store, batch_id)
    try:
        return store.read(layout.validation(batch_id, digest, "datasheet.html"))
    except ObjectMissing:
        raise ObjectMissing(
            "the batch has no datasheet yet", where=batch_id, do="Validate it: start a run."
        ) from None
