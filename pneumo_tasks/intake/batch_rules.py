"""The batch rules: what a batch has to be as a whole. ``critical`` rejects it, ``warning`` is reported."""

from collections.abc import Iterator
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.intake.drift import Drift
from pneumo_tasks.settings import LABELS, Settings

HARMLESS = ("no-duplicate", "no-near-duplicate", "not-disputed")


class Check(BaseModel):
    """One batch rule, judged; ``value`` and ``limit`` are for people."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: str
    limit: str
    severity: Literal["critical", "warning"]
    verdict: Literal["pass", "fail"]

    def __str__(self) -> str:
        return f"{self.name}: {self.value}, limit {self.limit}"


def check_batch(
    settings: Settings,
    facts: pd.DataFrame,
    accepted: pd.DataFrame,
    drifts: list[Drift],
    unlisted: int,
    declared: int,
) -> list[Check]:
    """Judge a batch whose rows were judged: ``facts`` has column rule, null where a row is good.

    ``unlisted`` files are in no row; ``declared`` files were counted when the batch was sent (0:
    an archive, which was not opened then).
    """
    return [
        *_good_share(settings, facts["rule"]),
        *_class_counts(settings, facts[facts["rule"].isna()]),
        *_class_ratio(settings, facts[facts["rule"].isna()], accepted),
        *_count(facts, unlisted, declared),
        *_look_alikes(facts[facts["rule"].isna()], accepted),
        _check("all-files-listed", f"{unlisted} files are not in images.csv", "0", unlisted == 0, "warning"),
        *(check for drift in drifts for check in _drift_checks(settings, drift)),
    ]


def _look_alikes(good: pd.DataFrame, accepted: pd.DataFrame) -> Iterator[Check]:
    """Ids that are one patient although they are written differently: a person should know of it."""
    spelled = [frame[["patient", "patient_id"]] for frame in (good, accepted) if "patient_id" in frame]
    if not spelled or good.empty:
        return
    known = pd.concat(spelled).dropna()
    known = known[(known["patient_id"] != "") & known["patient"].isin(good["patient"])]
    several = int((known.groupby("patient")["patient_id"].nunique() > 1).sum())
    value = f"{several} patients are spelled in several ways (case, zeros, spaces)"
    yield _check("ids-look-alike", value, "0", several == 0, "warning")


def _count(facts: pd.DataFrame, unlisted: int, declared: int) -> Iterator[Check]:
    if declared:
        arrived = int(facts.drop_duplicates("file")["present"].fillna(False).sum()) + unlisted
        yield _check(
            "count-as-sent", f"{arrived} files", f"the {declared} sent", arrived == declared, "warning"
        )


def _good_share(settings: Settings, rules: pd.Series) -> Iterator[Check]:
    """A film sent again is no fault of the batch: weekly exports often hold the weeks before."""
    fresh, good = int((~rules.isin(HARMLESS)).sum()), int(rules.isna().sum())
    if not fresh:
        yield _check("something-new", f"all {len(rules)} files are duplicates", "one new film", False)
        return
    share = good / fresh
    value = f"{good} of {fresh} files are good ({share:.1%})"
    enough = good > 0 and share >= settings.min_good_share
    yield _check("good-share", value, f"{settings.min_good_share:.1%}", enough)


def _class_counts(settings: Settings, good: pd.DataFrame) -> Iterator[Check]:
    for label in LABELS:
        films = good[good["label"] == label]
        for what, count, limit in (
            ("images", len(films), settings.min_class_images),
            ("patients", films["patient"].nunique(), settings.min_class_patients),
        ):
            value = f"{count} {label} {what}"
            yield _check(f"class-{what}", value, f"at least {limit}", count >= limit, "warning")


def _class_ratio(settings: Settings, good: pd.DataFrame, accepted: pd.DataFrame) -> Iterator[Check]:
    new, known = (
        frame["label"].value_counts().reindex(list(LABELS), fill_value=0) for frame in (good, accepted)
    )
    if new.min() == 0 or known.min() == 0:
        return
    ratio, usual = new[LABELS[1]] / new[LABELS[0]], known[LABELS[1]] / known[LABELS[0]]
    change = max(ratio / usual, usual / ratio)
    limit = settings.max_class_ratio_change
    value = f"{ratio:.2f} {LABELS[1]} for one {LABELS[0]}, {usual:.2f} before"
    yield _check("class-ratio", value, f"{limit:g} times the ratio before", change <= limit, "warning")


def _drift_checks(settings: Settings, drift: Drift) -> Iterator[Check]:
    label, psi, ks, auc = drift.label, settings.max_drift_psi, settings.max_drift_ks, settings.max_drift_auc
    stability = f"{label}: PSI {drift.psi:.2f} ({drift.psi_fact})"
    yield _check("drift-psi", stability, f"at most {psi:g}", drift.psi <= psi, "warning")
    distance = f"{label}: KS {drift.ks:.2f} ({drift.ks_fact})"
    yield _check("drift-ks", distance, f"at most {ks:g}", drift.ks <= ks, "warning")
    told = f"{label}: adversarial AUC {drift.auc:.2f}; random patients {drift.control:.2f}"
    yield _check("drift-thumbnails", told, f"at most {auc:g}", drift.auc <= auc, "warning")


def _check(
    name: str, value: str, limit: str, good: bool, severity: Literal["critical", "warning"] = "critical"
) -> Check:
    return Check(name=name, value=value, limit=limit, severity=severity, verdict="pass" if good else "fail")
