"""Validation of one batch: facts, rules, quarantine, datasheet, verdict."""

import io
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from pneumo_tasks.errors import BadBatch, StorageUnavailable
from pneumo_tasks.intake import quarantine
from pneumo_tasks.intake.accepted import known_films, read_thumbnails
from pneumo_tasks.intake.batch_rules import Check, check_batch
from pneumo_tasks.intake.batches import Batch, read_batch
from pneumo_tasks.intake.catalogue import Catalogue, Entry, open_catalogue, read_catalogue, take_place
from pneumo_tasks.intake.collection import collect_facts
from pneumo_tasks.intake.datasheet import render_datasheet
from pneumo_tasks.intake.drift import MIN_IMAGES, Drift, measure_drift, sample
from pneumo_tasks.intake.duplicates import disputes, duplicates, other_labels, other_splits
from pneumo_tasks.intake.expectations import Judgement, judge
from pneumo_tasks.intake.inspectors import Assignment
from pneumo_tasks.intake.near_duplicates import near_duplicates
from pneumo_tasks.intake.register import Home, read_register
from pneumo_tasks.intake.rules import file_rules, film_rules, relation_rules
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.journal import now
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

Collected = tuple[pd.DataFrame, int]
ThumbnailsOf = Callable[[pd.DataFrame], list[bytes]]


@dataclass(frozen=True)
class Known:
    """What a batch is compared with: films that count, films in dispute, and where patients are."""

    accepted: pd.DataFrame
    disputed: pd.DataFrame
    thumbnails_of: ThumbnailsOf
    homes: Mapping[str, Home]


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
    store.put_json(layout.validation_begun(batch_id, uuid.uuid4().hex), {"at": now()})
    if read_batch(store, batch_id)[1] != digest:
        raise StorageUnavailable("batch.json is read differently twice", where=batch_id, do="Try again.")
    collected: Collected | str
    try:
        collected = collect_facts(Assignment(settings, batch_id, digest), store, batch)
    except BadBatch as error:
        collected = str(error)
    while True:
        verdict = _judge(settings, store, catalogue, batch, digest, collected)
        if entry := take_place(store, catalogue, batch, verdict):
            return _published(store, entry, digest)
        catalogue = read_catalogue(store)
        if known := catalogue.of(batch_id):
            return _published(store, known, digest)


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
    nothing = pd.DataFrame(columns=["row", *quarantine.COLUMNS])
    verdict = _verdict(batch, digest, nothing, 0, [], [], collected)
    _write(store, verdict, "datasheet.html", render_datasheet(settings, verdict, None).encode(), "text/html")
    store.put_json(verdict.evidence("verdict.json"), verdict.model_dump(mode="json"))
    return verdict


def _published(store: ObjectStore, entry: Entry, digest: str) -> BatchVerdict:
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
    facts, unlisted = collected[0].copy(), collected[1]
    others = [batch.batch_id, *batch.replaces]
    accepted, disputed = known_films(store, others, catalogue, settings.patient_site)
    thumbnails_of, register = partial(read_thumbnails, store), read_register(store)
    known = Known(accepted, disputed, thumbnails_of, register.homes if register else {})
    facts, judgements = apply_rules(settings, batch.split, facts, known)
    rejected = quarantine.rejections(pd.concat([j.failures for j in judgements], ignore_index=True))
    facts["rule"] = pd.Series(rejected.set_index("row")["rule"], dtype=object).reindex(facts.index)

    good = facts[facts["rule"].isna()]
    drifts = _drifts(good, accepted, thumbnails_of)
    checks = check_batch(settings, facts, accepted, drifts, unlisted, batch.images)
    verdict = _verdict(batch, digest, rejected, len(good), checks, drifts)

    body = io.BytesIO()
    facts.to_parquet(body, index=False)
    _write(store, verdict, "facts.parquet", body.getvalue(), "application/vnd.apache.parquet")
    result = {j.result["suite_name"]: j.result for j in judgements}
    if settings.data_docs:
        for name, page in (page for judgement in judgements for page in judgement.docs().items()):
            _write(store, verdict, f"data_docs/{name}", page, "text/html")
    store.put_json(verdict.evidence("result.json"), result)
    sheet = render_datasheet(settings, verdict, facts)
    _write(store, verdict, "datasheet.html", sheet.encode("utf-8", "replace"), "text/html")
    store.put_json(verdict.evidence("verdict.json"), verdict.model_dump(mode="json"))
    return verdict


def _drifts(good: pd.DataFrame, accepted: pd.DataFrame, thumbnails_of: ThumbnailsOf) -> list[Drift]:
    """Against what training may use: the films of the test set are no reference for anything."""
    found = []
    for label in LABELS:
        films = good[good["label"] == label]
        known = accepted[(accepted["label"] == label) & (accepted["split"] != "test")]
        known = sample(known[known["phash"].notna()])
        if len(films) >= MIN_IMAGES:
            found.append(measure_drift(films, known.assign(thumbnail=thumbnails_of(known))))
    return [drift for drift in found if drift]


def apply_rules(
    settings: Settings,
    split: str,
    facts: pd.DataFrame,
    known: Known,
) -> tuple[pd.DataFrame, list[Judgement]]:
    """Judge each row alone, then the rows that stand among each other and the known ones.

    A file that breaks a rule on its own is no reason to refuse its copies, hence two passes.
    """
    alone = judge(facts, [*file_rules(settings), *film_rules(settings)], "films")
    films = facts[~facts.index.isin(alone.failures["row"])]
    accepted = known.accepted
    facts["other_label"] = other_labels(films, facts, accepted).reindex(facts.index)
    films = films[facts.loc[films.index, "other_label"].isna()]
    facts["disputed_in"] = disputes(films, known.disputed).reindex(facts.index)
    films = films[facts.loc[films.index, "disputed_in"].isna()]
    facts["duplicate_of"] = duplicates(films, accepted).reindex(facts.index)
    films = films[facts.loc[films.index, "duplicate_of"].isna()]
    near = near_duplicates(films, accepted, settings.near_duplicate_bits, known.thumbnails_of)
    facts["near_duplicate_of"] = near.reindex(facts.index)
    facts["other_split"] = other_splits(films, split, accepted, known.homes).reindex(facts.index)
    return facts, [alone, judge(facts, relation_rules(settings), "relations")]


def _verdict(
    batch: Batch,
    digest: str,
    rejected: pd.DataFrame,
    good: int,
    checks: list[Check],
    drifts: list[Drift],
    error: str = "",
) -> BatchVerdict:
    failed = [check for check in checks if check.verdict == "fail"]
    reasons = [error] if error else [str(check) for check in failed if check.severity == "critical"]
    attempt = uuid.uuid4().hex
    return BatchVerdict(
        batch_id=batch.batch_id,
        digest=digest,
        attempt=attempt,
        state="rejected" if reasons else "accepted",
        split=batch.split,
        synthetic=batch.synthetic,
        images=good + len(rejected) or batch.images,
        accepted=0 if reasons else good,
        quarantined=len(rejected),
        reasons=reasons,
        rejected=quarantine.as_list(rejected),
        validated_at=now(),
        warnings=[str(check) for check in failed if check.severity == "warning"],
        checks=checks,
        drifts=drifts,
        datasheet=layout.validation(batch.batch_id, digest, f"{attempt}/datasheet.html"),
    )


def _write(store: ObjectStore, verdict: BatchVerdict, name: str, body: bytes, content_type: str) -> None:
    store.put(verdict.evidence(name), body, content_type)
