"""Figures of a model on unseen films, by the labels that are known today."""

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.figures.confidence import PatientShare
from pneumo_tasks.settings import LABELS

HEALTHY, ILL = LABELS


class UnseenFigures(BaseModel):
    """Recall and specificity with bounds that hold at every moment at once, and what they are made of.

    ``left_out``: films whose patients a training had seen. ``withdrawn``: scored films that count no more.
    ``corrected``: films whose label is another one today. ``since`` and ``until``: dates of the labels.
    """

    model_config = ConfigDict(frozen=True)

    films: int
    patients: int
    batches: int
    left_out: int
    withdrawn: int
    corrected: int
    since: str | None
    until: str | None
    recall: PatientShare
    specificity: PatientShare


def known_today(table: pd.DataFrame, accepted: pd.DataFrame) -> pd.DataFrame:
    """The scored films of a table that are accepted today, with today's label, patient and batch.

    ``said`` keeps the label of the day on which the film was scored. A film that was withdrawn is left
    out; one that a correction sent again counts under the batch of the correction.
    """
    scored = table[~table["seen"].astype(bool)].drop(columns=["patient", "batch_id"])
    scored = scored.rename(columns={"label": "said"})
    today = accepted[["sha256", "label", "patient", "batch_id"]].drop_duplicates("sha256")
    return scored.merge(today, on="sha256", how="inner")


def unseen_figures(table: pd.DataFrame, accepted: pd.DataFrame, threshold: float) -> UnseenFigures:
    """The figures of one model's table at its threshold; ``accepted`` are the images that count today."""
    films = known_today(table, accepted)
    scored = int((~table["seen"].astype(bool)).sum())
    dates = films["label_at"].astype(str)
    return UnseenFigures(
        films=len(films),
        patients=int(films["patient"].nunique()),
        batches=int(films["batch_id"].nunique()),
        left_out=len(table) - scored,
        withdrawn=scored - len(films),
        corrected=int((films["said"] != films["label"]).sum()),
        since=str(dates.min()) if len(films) else None,
        until=str(dates.max()) if len(films) else None,
        recall=recall_of(films, threshold),
        specificity=specificity_of(films, threshold),
    )


def recall_of(films: pd.DataFrame, threshold: float) -> PatientShare:
    """Over patients: the share of their ill films that raise an alarm."""
    return _share(films[films["label"] == ILL], threshold, alarmed=True)


def specificity_of(films: pd.DataFrame, threshold: float) -> PatientShare:
    """Over patients: the share of their healthy films that raise none."""
    return _share(films[films["label"] == HEALTHY], threshold, alarmed=False)


def _share(films: pd.DataFrame, threshold: float, alarmed: bool) -> PatientShare:
    right = (films["probability"].to_numpy(np.float64) >= threshold) == alarmed
    by_patient = pd.Series(right.astype(np.float64)).groupby(films["patient"].to_numpy()).mean()
    return PatientShare.of([float(value) for value in by_patient])
