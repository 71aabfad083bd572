"""The batch rules: what a batch has to be as a whole. ``critical`` rejects it, ``warning`` is reported."""

from collections.abc import Iterator

import pandas as pd

from pneumo_tasks.intake.records.checks import BatchCheck, judged
from pneumo_tasks.intake.records.verdicts import Drift
from pneumo_tasks.intake.rules.patient_checks import check_patients
from pneumo_tasks.settings import LABELS, Settings

HARMLESS = ("no-duplicate", "no-near-duplicate", "not-disputed")


def check_batch(
    settings: Settings,
    facts: pd.DataFrame,
    accepted: pd.DataFrame,
    drifts: list[Drift],
    unlisted: int,
    declared: int,
) -> list[BatchCheck]:
    """Judge a batch whose rows were judged: ``facts`` has column rule, null where a row is good.

    ``unlisted`` files are in no row; ``declared`` files were counted when the batch was sent (0:
    an archive, which was not opened then).
    """
    return [
        *_good_share(settings, facts["rule"]),
        *(_class_counts(settings, facts[facts["rule"].isna()]) if (facts["label"] != "").any() else ()),
        *_class_ratio(settings, facts[facts["rule"].isna()], accepted),
        *_count(facts, unlisted, declared),
        *check_patients(settings, facts[facts["rule"].isna()], accepted),
        judged("all-files-listed", f"{unlisted} files are not in images.csv", "0", unlisted == 0, "warning"),
        *(check for drift in drifts for check in _drift_checks(settings, drift)),
    ]


def check_columns(unused: tuple[str, ...]) -> list[BatchCheck]:
    """Columns of images.csv that sound like an id or a label and are none of ours are named."""
    value = ", ".join(unused)[:200] or "none"
    return [judged("columns-used", f"not used: {value}", "none that may be meant", not unused, "warning")]


def _count(facts: pd.DataFrame, unlisted: int, declared: int) -> Iterator[BatchCheck]:
    if declared:
        arrived = int(facts.drop_duplicates("file")["present"].fillna(False).sum()) + unlisted
        yield judged(
            "count-as-sent", f"{arrived} files", f"the {declared} sent", arrived == declared, "warning"
        )


def _good_share(settings: Settings, rules: pd.Series) -> Iterator[BatchCheck]:
    """A film sent again is no fault of the batch: weekly exports often hold the weeks before."""
    fresh, good = int((~rules.isin(HARMLESS)).sum()), int(rules.isna().sum())
    if not fresh:
        yield judged("something-new", f"all {len(rules)} files are duplicates", "one new film", False)
        return
    share = good / fresh
    value = f"{good} of {fresh} files are good ({share:.1%})"
    enough = good > 0 and share >= settings.min_good_share
    yield judged("good-share", value, f"{settings.min_good_share:.1%}", enough)


def _class_counts(settings: Settings, good: pd.DataFrame) -> Iterator[BatchCheck]:
    for label in LABELS:
        films = good[good["label"] == label]
        for what, count, limit in (
            ("images", len(films), settings.min_class_images),
            ("patients", films["patient"].nunique(), settings.min_class_patients),
        ):
            value = f"{count} {label} {what}"
            yield judged(f"class-{what}", value, f"at least {limit}", count >= limit, "warning")


def _class_ratio(settings: Settings, good: pd.DataFrame, accepted: pd.DataFrame) -> Iterator[BatchCheck]:
    new, known = (
        frame["label"].value_counts().reindex(list(LABELS), fill_value=0) for frame in (good, accepted)
    )
    if new.min() == 0 or known.min() == 0:
        return
    ratio, usual = new[LABELS[1]] / new[LABELS[0]], known[LABELS[1]] / known[LABELS[0]]
    change = max(ratio / usual, usual / ratio)
    limit = settings.max_class_ratio_change
    value = f"{ratio:.2f} {LABELS[1]} for one {LABELS[0]}, {usual:.2f} before"
    yield judged("class-ratio", value, f"{limit:g} times the ratio before", change <= limit, "warning")


def _drift_checks(settings: Settings, drift: Drift) -> Iterator[BatchCheck]:
    label, psi, ks, auc = drift.label, settings.max_drift_psi, settings.max_drift_ks, settings.max_drift_auc
    stability = f"{label}: PSI {drift.psi:.2f} ({drift.psi_fact})"
    yield judged("drift-psi", stability, f"at most {psi:g}", drift.psi <= psi, "warning")
    stated = f"{label}: PSI {drift.coarse_psi:.2f} ({drift.coarse_fact or 'nothing is stated'})"
    yield judged("drift-circumstances", stated, f"at most {psi:g}", drift.coarse_psi <= psi, "warning")
    distance = f"{label}: KS {drift.ks:.2f} ({drift.ks_fact})"
    yield judged("drift-ks", distance, f"at most {ks:g}", drift.ks <= ks, "warning")
    told = f"{label}: adversarial AUC {drift.auc:.2f}; random patients {drift.control:.2f}"
    yield judged("drift-thumbnails", told, f"at most {auc:g}", drift.auc <= auc, "warning")
