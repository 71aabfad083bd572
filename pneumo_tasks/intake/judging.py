"""The judgement of one batch: facts in, verdict out. The validating task and the sender's check share it."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from pneumo_tasks.intake import quarantine
from pneumo_tasks.intake.inspecting.collection import Collected
from pneumo_tasks.intake.records.accepted import KNOWN
from pneumo_tasks.intake.records.checks import BatchCheck
from pneumo_tasks.intake.records.register import Home
from pneumo_tasks.intake.records.verdicts import BatchVerdict, Drift
from pneumo_tasks.intake.rules.batch_rules import check_batch, check_columns
from pneumo_tasks.intake.rules.drift import MIN_IMAGES, measure_drift, sample
from pneumo_tasks.intake.rules.duplicates import disputes, duplicates, other_labels, other_splits
from pneumo_tasks.intake.rules.expectations import Judgement, judge
from pneumo_tasks.intake.rules.file_rules import file_rules, film_rules, relation_rules
from pneumo_tasks.intake.rules.near_duplicates import near_duplicates
from pneumo_tasks.intake.sent.batches import Batch
from pneumo_tasks.journal import now
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout

ThumbnailsOf = Callable[[pd.DataFrame], list[bytes]]


@dataclass(frozen=True)
class Known:
    """What a batch is compared with: films that count, films in dispute, and where patients are."""

    accepted: pd.DataFrame
    disputed: pd.DataFrame
    thumbnails_of: ThumbnailsOf
    homes: Mapping[str, Home]

    @classmethod
    def nothing(cls) -> "Known":
        """What is known where there is no bucket."""
        accepted, disputed = (
            pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
            for columns in ((*KNOWN, "batch_id", "facts_key", "split"), ("pixel_digest", "rule", "place"))
        )
        return cls(accepted, disputed, lambda _: [], {})


@dataclass(frozen=True)
class JudgedBatch:
    """``facts`` has a row a file, with the first rule that it broke, null where none."""

    verdict: BatchVerdict
    facts: pd.DataFrame
    judgements: list[Judgement]


def judge_batch(
    settings: Settings, batch: Batch, digest: str, collected: Collected, known: Known
) -> JudgedBatch:
    """Judge every file, then the batch as a whole, in the order of the rules; pure, but for thumbnails."""
    facts = collected.facts.copy()
    facts["patient"] = _as_before(facts["patient"], facts.pop("formerly"), known)
    facts, judgements = apply_rules(settings, batch.split, facts, known, labelled=not batch.unlabelled)
    rejected = quarantine.rejections(pd.concat([j.failures for j in judgements], ignore_index=True))
    facts["rule"] = pd.Series(rejected.set_index("row")["rule"], dtype=object).reindex(facts.index)
    good = facts[facts["rule"].isna()]
    drifts = _drifts(good, known.accepted, known.thumbnails_of)
    checks = check_batch(settings, facts, known.accepted, drifts, collected.unlisted, batch.images)
    checks += check_columns(collected.unused)
    return JudgedBatch(_verdict(batch, digest, rejected, len(good), checks, drifts), facts, judgements)


def _as_before(patients: pd.Series, formerly: pd.Series, known: Known) -> pd.Series:
    """Patients under the key that they already have, where an earlier release gave them one."""
    before = {*known.accepted["patient"].dropna(), *known.homes}
    return patients.where(~formerly.isin(before), formerly).astype(object)


def refused(batch: Batch, digest: str, why: str) -> BatchVerdict:
    """The verdict on a batch that cannot be read as a batch."""
    nothing = pd.DataFrame(columns=["row", *quarantine.COLUMNS])
    return _verdict(batch, digest, nothing, 0, [], [], why)


def _drifts(good: pd.DataFrame, accepted: pd.DataFrame, thumbnails_of: ThumbnailsOf) -> list[Drift]:
    """Against what training may use: the films of the test set are no reference for anything."""
    found = []
    for label in (*LABELS, ""):
        films = good[good["label"] == label].assign(label=label or "no label")
        known = accepted[(accepted["label"] == (label or accepted["label"])) & (accepted["split"] != "test")]
        known = sample(known[known["phash"].notna()])
        if len(films) >= MIN_IMAGES:
            found.append(measure_drift(films, known.assign(thumbnail=thumbnails_of(known))))
    return [drift for drift in found if drift]


def apply_rules(
    settings: Settings,
    split: str,
    facts: pd.DataFrame,
    known: Known,
    labelled: bool = True,
) -> tuple[pd.DataFrame, list[Judgement]]:
    """Judge each row alone, then the rows that stand among each other and the known ones.

    A file that breaks a rule on its own is no reason to refuse its copies, hence two passes.
    """
    alone = judge(facts, [*file_rules(settings), *film_rules(settings, labelled)], "films")
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
    checks: list[BatchCheck],
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
        state="rejected" if reasons else "unlabelled" if batch.unlabelled else "accepted",
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
