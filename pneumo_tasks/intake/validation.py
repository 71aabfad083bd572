"""Validation of one batch: facts, rules, quarantine, datasheet, verdict."""

import io
import logging
from functools import partial

from pneumo_tasks.errors import BadBatch, RetryableError, StorageUnavailable
from pneumo_tasks.intake import quarantine
from pneumo_tasks.intake.datasheet import render_datasheet
from pneumo_tasks.intake.inspecting.collection import Collected, collect_facts
from pneumo_tasks.intake.inspecting.inspectors import Assignment
from pneumo_tasks.intake.judging import Known, judge_batch, refused
from pneumo_tasks.intake.records.accepted import known_films
from pneumo_tasks.intake.records.attempts import MOST_TRIES, begin, begun, excuse
from pneumo_tasks.intake.records.catalogue import (
    Catalogue,
    CatalogueEntry,
    open_catalogue,
    read_catalogue,
    take_place,
)
from pneumo_tasks.intake.records.facts import FACTS, read_thumbnails
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.intake.records.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.intake.sent.batches import Batch, read_batch
from pneumo_tasks.intake.sent.contents import contents_in_bucket
from pneumo_tasks.intake.sent.senders import sender_fault
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


def validate_batch(settings: Settings, store: ObjectStore, batch_id: str) -> BatchVerdict:
    """Judge every file of a complete batch; the verdict counts when it took its place in the catalogue.

    The first verdict on a batch stands, whoever judges it again and whatever its batch.json says by
    then. It knows every batch that was accepted before: where others took a place meanwhile, the
    relations are judged again. A batch that cannot be read as a batch is rejected with the reason;
    ObjectMissing where it is not complete.
    """
    catalogue = open_catalogue(store)
    batch, digest = read_batch(store, batch_id)
    if known := catalogue.of(batch_id):
        return _published(store, known, digest)
    begin(store, batch_id)
    if read_batch(store, batch_id)[1] != digest:
        raise StorageUnavailable("batch.json is read differently twice", where=batch_id, do="Try again.")
    collected: Collected | str
    attempts = begun(store, batch_id)
    try:
        _refuse_unread(settings, batch, attempts)
        contents = contents_in_bucket(store, batch)
        collected = collect_facts(Assignment(settings, batch_id, digest), store, contents)
    except BadBatch as error:
        collected = str(error)
    except RetryableError:
        excuse(store, batch_id)  # the store or a worker was away: that says nothing about the batch
        raise
    while True:
        verdict = _judge(settings, store, catalogue, batch, digest, collected)
        if entry := take_place(store, catalogue, batch, verdict):
            return _published(store, entry, digest)
        catalogue = read_catalogue(store)
        if known := catalogue.of(batch_id):
            return _published(store, known, digest)


def _refuse_unread(settings: Settings, batch: Batch, attempts: int) -> None:
    """BadBatch, before any of it is read, for what its sender may not ask, and for what ended each try."""
    if fault := sender_fault(settings, batch):
        raise BadBatch(fault)
    if attempts > MOST_TRIES:
        raise BadBatch(
            "the validation ended its process each time",
            where=batch.batch_id,
            found=f"{attempts - 1} tries without a verdict, limit {MOST_TRIES}",
            do="Send the batch in smaller parts, under other ids.",
        )


def _judge(
    settings: Settings,
    store: ObjectStore,
    catalogue: Catalogue,
    batch: Batch,
    digest: str,
    collected: Collected | str,
) -> BatchVerdict:
    if not isinstance(collected, str):
        return _judge_batch(settings, store, catalogue, batch, digest, collected)
    verdict = refused(batch, digest, collected)
    _write(store, verdict, "datasheet.html", render_datasheet(settings, verdict, None).encode(), "text/html")
    store.put_json(verdict.evidence("verdict.json"), verdict.model_dump(mode="json"))
    return verdict


def _published(store: ObjectStore, entry: CatalogueEntry, digest: str) -> BatchVerdict:
    """The verdict that counts, also at its place for readers; a crash behind the catalogue is mended."""
    verdict = entry.verdict
    if verdict.digest != digest:
        log.warning(
            "batch %s changed after it was judged: the verdict on %s holds", verdict.batch_id, verdict.digest
        )
    stored = read_verdict(store, verdict.batch_id, verdict.digest)
    if stored and stored.attempt == verdict.attempt:
        return stored
    body = store.read(verdict.evidence("verdict.json"))
    full = BatchVerdict.model_validate_json(body)
    quarantine.write_quarantine(store, full.batch_id, full.digest, full.rejected)
    store.put(layout.validation(full.batch_id, full.digest, "verdict.json"), body, "application/json")
    log.info(
        "batch %s %s: %d accepted, %d quarantined%s",
        full.batch_id, full.state, full.accepted, full.quarantined,
        "".join(f"; {reason}" for reason in (*full.reasons, *full.warnings)),
    )  # fmt: skip
    return full


def _judge_batch(
    settings: Settings,
    store: ObjectStore,
    catalogue: Catalogue,
    batch: Batch,
    digest: str,
    collected: Collected,
) -> BatchVerdict:
    others = [batch.batch_id, *batch.replaces]
    accepted, disputed = known_films(store, others, catalogue, settings.patient_site)
    register = read_register(store)
    known = Known(accepted, disputed, partial(read_thumbnails, store), register.homes if register else {})
    judged = judge_batch(settings, batch, digest, collected, known)
    verdict, facts = judged.verdict, judged.facts

    body = io.BytesIO()
    facts.to_parquet(body, index=False)
    _write(store, verdict, FACTS, body.getvalue(), "application/vnd.apache.parquet")
    result = {j.result["suite_name"]: j.result for j in judged.judgements}
    if settings.data_docs:
        for name, page in (page for judgement in judged.judgements for page in judgement.docs().items()):
            _write(store, verdict, f"data_docs/{name}", page, "text/html")
    store.put_json(verdict.evidence("result.json"), result)
    sheet = render_datasheet(settings, verdict, facts)
    _write(store, verdict, "datasheet.html", sheet.encode("utf-8", "replace"), "text/html")
    store.put_json(verdict.evidence("verdict.json"), verdict.model_dump(mode="json"))
    return verdict


def _write(store: ObjectStore, verdict: BatchVerdict, name: str, body: bytes, content_type: str) -> None:
    store.put(verdict.evidence(name), body, content_type)
