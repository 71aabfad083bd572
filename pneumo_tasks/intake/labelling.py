"""Labelling: a batch that came without labels gives way to its films with the labels that came later."""

import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.containers.names import match
from pneumo_tasks.intake.inspecting.inspectors import Assignment
from pneumo_tasks.intake.records.catalogue import open_catalogue
from pneumo_tasks.intake.records.facts import facts_key
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.records.withdrawals import withdrawn_batches
from pneumo_tasks.intake.sent.batches import Batch, complete, read_files
from pneumo_tasks.intake.sent.contents import LABELS_CSV
from pneumo_tasks.intake.sent.labels import read_labels, with_labels
from pneumo_tasks.intake.sent.manifests import MAX_BYTES
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.storage.work_folders import shared_temporary_folder, work_folder

log = logging.getLogger(__name__)

_THREADS = 16


def label_batch(settings: Settings, store: ObjectStore, batch_id: str, labels: bytes) -> Batch:
    """Send the films of ``batch_id`` again with ``labels`` (labels.csv), as ``<batch_id>-l<n>``.

    Films without a label stay out of it; later labels are brought in the same way, all of them in one
    table. Raises BadBatch where the batch does not wait for labels, or no label fits one of its films.
    """
    catalogue = open_catalogue(store)
    entry = catalogue.of(batch_id)
    if entry is None or entry.verdict.state != "unlabelled":
        found = entry.verdict.state if entry else "no verdict"
        raise BadBatch(
            "the batch does not wait for labels", where=batch_id, found=found, do="See `pneumo batch list`."
        )
    if batch_id in withdrawn_batches(store, catalogue.entries):
        raise BadBatch("the batch was withdrawn", where=batch_id, do="Upload it under another id.")
    if len(labels) > MAX_BYTES:
        raise BadBatch("labels.csv is too large", found=f"{len(labels)} bytes, limit {MAX_BYTES}")
    _must_fit(settings, store, entry.verdict, labels)
    before = [other.batch.batch_id for other in catalogue.entries if batch_id in other.batch.replaces]
    new = entry.batch.model_copy(
        update={
            "batch_id": f"{batch_id}-l{len(before) + 1}",
            "created_at": now(),
            "replaces": [*entry.batch.replaces, batch_id, *before],
            "unlabelled": False,
            "labels_sha256": sha256(labels),
        }
    )
    if store.exists(layout.batch_manifest(new.batch_id)):
        raise BadBatch("the labels before these have no verdict yet", where=new.batch_id, do="Start a run.")
    _copy(store, entry.batch, new)
    store.put(layout.incoming_file(new.batch_id, new.labels_sha256), labels, "text/csv")
    return complete(store, new)


class WaitingForLabels(BaseModel):
    """How many unlabelled batches count, and how many good films are in them."""

    model_config = ConfigDict(frozen=True)

    batches: int
    films: int


def waiting_for_labels(store: ObjectStore) -> WaitingForLabels:
    """The batches that wait for labels now: neither withdrawn, nor replaced by their labelled films."""
    entries = open_catalogue(store).entries
    out = withdrawn_batches(store, entries)
    out |= {old for entry in entries if entry.verdict.state == "accepted" for old in entry.batch.replaces}
    waiting = [entry.verdict for entry in entries if entry.verdict.state == "unlabelled"]
    films = [verdict.accepted for verdict in waiting if verdict.batch_id not in out]
    return WaitingForLabels(batches=len(films), films=sum(films))


def _must_fit(settings: Settings, store: ObjectStore, verdict: BatchVerdict, labels: bytes) -> None:
    """A name that nobody knows is better said now than by the run."""
    facts = pd.read_parquet(io.BytesIO(store.read(facts_key(verdict))))
    secret = Assignment(settings, verdict.batch_id, verdict.digest).secret
    table = read_labels(labels, LABELS_CSV)
    with_labels(facts, table, "", secret)
    named = table[table["file"] != ""]
    lost = named[~pd.Series(match(list(named["file"]), facts["file"]), named.index).isin(facts["file"])]
    if not lost.empty:
        log.warning(
            "%d of %d labels name no film of %s: %s",
            len(lost), len(table), verdict.batch_id, ", ".join(lost["file"])[:200],
        )  # fmt: skip


def _copy(store: ObjectStore, old: Batch, new: Batch) -> None:
    """The objects of a batch below the id of another: a batch never refers to the films of another."""

    def copy(digest: str) -> None:
        with work_folder(shared_temporary_folder()) as folder:
            path = folder / "object"
            store.download(layout.incoming_file(old.batch_id, digest), path, digest)
            store.upload(layout.incoming_file(new.batch_id, digest), path)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(copy, dict.fromkeys(_objects_of(store, old))))


def _objects_of(store: ObjectStore, batch: Batch) -> Iterator[str]:
    if batch.archive:
        yield batch.files_sha256
        return
    yield batch.files_json_sha256
    yield from (file.sha256 for file in read_files(store, batch))
