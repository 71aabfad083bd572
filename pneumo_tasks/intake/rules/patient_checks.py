"""The batch rules on patients: ids that look alike, stand for nobody, or cover too many studies. All warn."""

from collections.abc import Iterator

import pandas as pd

from pneumo_tasks.intake.records.checks import BatchCheck, judged
from pneumo_tasks.settings import Settings

_FEW_STUDIES = 5  # fewer of one patient are nothing strange, also where a small batch has no others


def check_patients(settings: Settings, good: pd.DataFrame, accepted: pd.DataFrame) -> Iterator[BatchCheck]:
    """``good`` are the rows that break no rule, ``accepted`` those of the batches before."""
    yield from _look_alikes(good, accepted)
    yield from _placeholders(good)
    yield from _many_studies(settings, good)


def _look_alikes(good: pd.DataFrame, accepted: pd.DataFrame) -> Iterator[BatchCheck]:
    """Ids that are one patient although they are written differently: a person should know of it."""
    spelled = [frame[["patient", "patient_id"]] for frame in (good, accepted) if "patient_id" in frame]
    if not spelled or good.empty:
        return
    known = pd.concat(spelled).dropna()
    known = known[(known["patient_id"] != "") & known["patient"].isin(good["patient"])]
    several = int((known.groupby("patient")["patient_id"].nunique() > 1).sum())
    value = f"{several} patients are spelled in several ways (case, zeros, spaces)"
    yield judged("ids-look-alike", value, "0", several == 0, "warning")


def _placeholders(good: pd.DataFrame) -> Iterator[BatchCheck]:
    """An id such as ANONYMOUS or 0 makes one patient of many: a split by patient then says nothing."""
    if good.empty or "placeholder" not in good:
        return
    films = good[good["placeholder"].eq(True)]
    value = f"{len(films)} films carry an id that stands for nobody (ANONYMOUS, 0, ...)"
    yield judged("ids-placeholder", value, "0", films.empty, "warning")


def _many_studies(settings: Settings, good: pd.DataFrame) -> Iterator[BatchCheck]:
    """One id with more studies than a patient has, or with most of the batch's."""
    studies = good[good["study"] != ""] if "study" in good else good.iloc[:0]
    if studies.empty:
        return
    counts = studies.groupby("patient")["study"].nunique()
    whole, most, limit = int(studies["study"].nunique()), int(counts.max()), settings.max_patient_studies
    fine = most <= limit and (most < _FEW_STUDIES or 2 * most <= whole)
    value = f"{most} of {whole} studies have one patient id"
    limits = f"at most {limit}, and half of the batch's from {_FEW_STUDIES} on"
    yield judged("studies-of-one-patient", value, limits, fine, "warning")
