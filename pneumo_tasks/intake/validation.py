"""Validation of one batch: facts, rules, quarantine, verdict."""

import io
import logging
import time
from collections.abc import Callable

import pandas as pd

from pneumo_tasks import layout
from pneumo_tasks.errors import BadBatch, ObjectMissing
from pneumo_tasks.intake import duplicates, patients, quarantine
from pneumo_tasks.intake.accepted import accepted_images
from pneumo_tasks.intake.batches import Batch, read_batch
from pneumo_tasks.intake.expectations import Judgement, judge
from pneumo_tasks.intake.inspection import inspect_files
from pneumo_tasks.intake.manifests import path_fault, read_manifest
from pneumo_tasks.intake.rules import film_rules, relation_rules
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.journal import now
from pneumo_tasks.object_store import ObjectStore, check_digest, sha256
from pneumo_tasks.settings import Settings

log = logging.getLogger(__name__)


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
        verdict = _verdict(batch, digest, pd.DataFrame(columns=["row", *quarantine.COLUMNS]), 0, [str(error)])
    store.put_json(layout.validation(batch_id, digest, "verdict.json"), verdict.model_dump(mode="json"))
    log.info(
        "batch %s %s: %d accepted, %d quarantined%s",
        batch_id, verdict.state, verdict.accepted, verdict.quarantined,
        "".join(f"; {reason}" for reason in verdict.reasons),
    )  # fmt: skip
    return verdict


def _judge_batch(settings: Settings, store: ObjectStore, batch: Batch, digest: str) -> BatchVerdict:
    facts = _collect_facts(settings, store, batch)
    accepted = accepted_images(store)
    accepted = accepted[accepted["batch_id"] != batch.batch_id]
    facts, judgements = _apply_rules(settings, batch, facts, accepted)
    rejected = quarantine.rejections(pd.concat([j.failures for j in judgements], ignore_index=True))
    facts["rule"] = pd.Series(rejected.set_index("row")["rule"], dtype=object).reindex(facts.index)

    body = io.BytesIO()
    facts.to_parquet(body, index=False)
    store.put(layout.validation(batch.batch_id, digest, "facts.parquet"), body.getvalue())
    result = {j.result["suite_name"]: j.result for j in judgements}
    store.put_json(layout.validation(batch.batch_id, digest, "result.json"), result)
    quarantine.write_quarantine(store, batch.batch_id, digest, rejected)
    good = int(facts["rule"].isna().sum())
    return _verdict(batch, digest, rejected, good, _batch_faults(settings, facts["rule"]))


def _collect_facts(settings: Settings, store: ObjectStore, batch: Batch) -> pd.DataFrame:
    """A row for each line of images.csv: its cells and what was found in the file."""
    key = layout.batch_images_csv(batch.batch_id)
    try:
        manifest = store.get(key).body
    except ObjectMissing:
        raise BadBatch("the batch has no images.csv", where=key, do="Upload the folder again.") from None
    check_digest(sha256(manifest), batch.images_csv_sha256, key)
    rows = read_manifest(manifest, key).rename(columns={"path": "file"})
    rows["path_fault"] = _objects([path_fault(path) for path in rows["file"]])
    safe = rows["path_fault"].isna()
    rows["key"] = _objects(
        [
            layout.incoming(batch.batch_id, file) if ok else ""
            for file, ok in zip(rows["file"], safe, strict=True)
        ]
    )
    asked = rows[safe].drop_duplicates("file")
    found = inspect_files(
        settings, store, list(zip(asked["file"], asked["key"], strict=True)), _progress(batch.batch_id)
    )
    facts = rows.merge(pd.DataFrame(found).drop(columns="path_fault", errors="ignore"), on="file", how="left")
    return _with_patients(settings, facts)


def _with_patients(settings: Settings, facts: pd.DataFrame) -> pd.DataFrame:
    pattern = patients.compiled(settings.patient_pattern)
    sites = facts["site"] if "site" in facts else pd.Series("", index=facts.index)
    keys = [
        patients.from_column(given, site) or patients.from_file_name(file.rsplit("/", 1)[-1], pattern)
        for file, given, site in zip(facts["file"], facts["patient_id"], sites, strict=True)
    ]
    return facts.assign(
        patient=_objects([str(key) if key else None for key in keys]),
        family=_objects([key.family if key else None for key in keys]),
        patient_fault=_objects([None if key else "no patient id" for key in keys]),
    )


def _apply_rules(
    settings: Settings, batch: Batch, facts: pd.DataFrame, accepted: pd.DataFrame
) -> tuple[pd.DataFrame, list[Judgement]]:
    alone = judge(facts, film_rules(settings), "films")
    films = facts[~facts.index.isin(alone.failures["row"])]
    facts["other_label"] = duplicates.other_labels(films, accepted).reindex(facts.index)
    torn = films.index[facts.loc[films.index, "other_label"].notna()]
    facts["duplicate_of"] = duplicates.duplicates(films.drop(index=torn), accepted).reindex(facts.index)
    facts["other_split"] = duplicates.other_splits(films, batch.split, accepted).reindex(facts.index)
    return facts, [alone, judge(facts, relation_rules(), "relations")]


def _batch_faults(settings: Settings, rules: pd.Series) -> list[str]:
    """A film sent again is no fault of the batch: weekly exports often hold the weeks before."""
    fresh, good = int((rules != "no-duplicate").sum()), int(rules.isna().sum())
    if not fresh:
        return [f"nothing-new: all {len(rules)} files are duplicates"]
    if good == 0 or good < settings.min_good_share * fresh:
        limit = f"limit {settings.min_good_share:.1%}"
        return [f"good-share: {good} of {fresh} files are good ({good / fresh:.1%}), {limit}"]
    return []


def _verdict(
    batch: Batch, digest: str, rejected: pd.DataFrame, good: int, reasons: list[str]
) -> BatchVerdict:
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
    )


def _progress(batch_id: str, every: float = 10.0) -> Callable[[int, int], None]:
    """Log images a second and the time that is left, at most every ``every`` seconds."""
    started = last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        moment = time.monotonic()
        if moment - last >= every or done == total:
            last, rate = moment, done / max(moment - started, 1e-9)
            log.info(
                "%s: %d of %d images, %.0f images/s, %.0f s left",
                batch_id,
                done,
                total,
                rate,
                (total - done) / rate,
            )

    return report


def _objects(values: list[str | None] | list[str]) -> pd.Series:
    return pd.Series(values, dtype=object)
