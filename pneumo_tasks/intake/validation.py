"""Validation of one batch: facts, rules, quarantine, datasheet, verdict."""

import io
import logging
from collections.abc import Callable
from functools import partial

import pandas as pd

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake import quarantine
from pneumo_tasks.intake.accepted import known_films, read_thumbnails
from pneumo_tasks.intake.batch_rules import Check, check_batch
from pneumo_tasks.intake.batches import Batch, read_batch
from pneumo_tasks.intake.collection import collect_facts
from pneumo_tasks.intake.datasheet import render_datasheet
from pneumo_tasks.intake.drift import MIN_IMAGES, Drift, measure_drift, sample
from pneumo_tasks.intake.duplicates import disputes, duplicates, other_labels, other_splits
from pneumo_tasks.intake.expectations import Judgement, judge
from pneumo_tasks.intake.inspectors import Assignment
from pneumo_tasks.intake.near_duplicates import near_duplicates
from pneumo_tasks.intake.rules import file_rules, film_rules, relation_rules
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.journal import now
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)

ThumbnailsOf = Callable[[pd.DataFrame], list[bytes]]


def validate_batch(settings: Settings, store: ObjectStore, batch_id: str) -> BatchVerdict:
    """Judge every file of a complete batch and write the verdict, last of all that is written.

    The verdict on unchanged content is read, not made again. A batch that cannot be read as a
    batch is rejected with the reason; ObjectMissing where it is not complete.
    """
    batch, digest = read_batch(store, batch_id)
    known = read_verdict(store, batch_id, digest)
    if known:
        return known
    try:
        verdict = _judge_batch(settings, store, batch, digest)
    except BadBatch as error:
        verdict = _verdict(
            batch, digest, pd.DataFrame(columns=["row", *quarantine.COLUMNS]), 0, [], [], str(error)
        )
        _write(
            store, verdict, "datasheet.html", render_datasheet(settings, verdict, None).encode(), "text/html"
        )
    store.put_json(layout.validation(batch_id, digest, "verdict.json"), verdict.model_dump(mode="json"))
    log.info(
        "batch %s %s: %d accepted, %d quarantined%s",
        batch_id, verdict.state, verdict.accepted, verdict.quarantined,
        "".join(f"; {reason}" for reason in (*verdict.reasons, *verdict.warnings)),
    )  # fmt: skip
    return verdict


def _judge_batch(settings: Settings, store: ObjectStore, batch: Batch, digest: str) -> BatchVerdict:
    facts, unlisted = collect_facts(Assignment(settings, batch.batch_id, digest), store, batch)
    accepted, disputed = known_films(store, [batch.batch_id, *batch.replaces])
    thumbnails_of = partial(read_thumbnails, store)
    facts, judgements = apply_rules(settings, batch.split, facts, accepted, disputed, thumbnails_of)
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
    store.put_json(layout.validation(batch.batch_id, digest, "result.json"), result)
    quarantine.write_quarantine(store, batch.batch_id, digest, rejected)
    sheet = render_datasheet(settings, verdict, facts)
    _write(store, verdict, "datasheet.html", sheet.encode("utf-8", "replace"), "text/html")
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
    accepted: pd.DataFrame,
    disputed: pd.DataFrame,
    thumbnails_of: ThumbnailsOf,
) -> tuple[pd.DataFrame, list[Judgement]]:
    """Judge each row alone, then the rows that stand among each other and the known ones.

    A file that breaks a rule on its own is no reason to refuse its copies, hence two passes.
    """
    alone = judge(facts, [*file_rules(settings), *film_rules(settings)], "films")
    films = facts[~facts.index.isin(alone.failures["row"])]
    facts["other_label"] = other_labels(films, facts, accepted).reindex(facts.index)
    films = films[facts.loc[films.index, "other_label"].isna()]
    facts["disputed_in"] = disputes(films, disputed).reindex(facts.index)
    films = films[facts.loc[films.index, "disputed_in"].isna()]
    facts["duplicate_of"] = duplicates(films, accepted).reindex(facts.index)
    films = films[facts.loc[films.index, "duplicate_of"].isna()]
    near = near_duplicates(films, accepted, settings.near_duplicate_bits, thumbnails_of)
    facts["near_duplicate_of"] = near.reindex(facts.index)
    facts["other_split"] = other_splits(films, split, accepted).reindex(facts.index)
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
    return BatchVerdict(
        batch_id=batch.batch_id,
        digest=digest,
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
        datasheet=layout.validation(batch.batch_id, digest, "datasheet.html"),
    )


def _write(store: ObjectStore, verdict: BatchVerdict, name: str, body: bytes, content_type: str) -> None:
    store.put(layout.validation(verdict.batch_id, verdict.digest, name), body, content_type)
