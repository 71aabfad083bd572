"""Slices: the same figures for parts of the test set, so that a good mean hides no bad part."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.figures.bootstrap import Draws
from pneumo_tasks.evaluation.figures.clustering import kish_effect
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.intervals import rate_interval
from pneumo_tasks.evaluation.figures.metrics import Labels

# Columns whose values are slices as they are, and those cut into quarters.
NAMED = {
    "family": "source family",
    "site": "site",
    "view": "view",
    "batch_id": "batch",
    "age_band": "age",
    "sex": "sex",
    "device": "device",
    "month": "month",
    "laterality": "laterality",
    "priority": "priority",
    "frame": "frame",
}
NOT_STATED = "not stated"
# What a model whose frame aligns a film says of that: a film that it could not align is judged as it is.
BROUGHT, NOT_BROUGHT = "brought to the frame", "not brought to the frame"
# Films of which nothing is stated are a slice as well.
_STATED = ("site", "view", "age_band", "sex", "device", "month", "laterality", "priority")
QUARTERED = {"grey_mean": "exposure", "pixels": "image size"}


class SliceShare(BaseModel):
    """A share of ``images`` with its 95 % interval over patients; None where there are no images."""

    model_config = ConfigDict(frozen=True)

    images: int
    value: float | None
    interval: Interval | None


class Slice(BaseModel):
    """One part of the test set; ``small`` says that it holds too few images to be judged."""

    model_config = ConfigDict(frozen=True)

    by: str
    value: str
    recall: SliceShare
    specificity: SliceShare
    small: bool


def slice_figures(
    rows: pd.DataFrame, called: Labels, codes: NDArray[np.intp], draws: Draws, min_images: int
) -> list[Slice]:
    """Recall and specificity of every slice that is not the whole test set."""
    positive = (rows["label"] == "PNEUMONIA").to_numpy(bool)
    found = []
    for by, value, inside in _slices(rows):
        recall = _share(called, inside & positive, codes, draws)
        specificity = _share(~called, inside & ~positive, codes, draws)
        found.append(
            Slice(
                by=by,
                value=value,
                recall=recall,
                specificity=specificity,
                small=max(recall.images, specificity.images) < min_images,
            )
        )
    return found


def _slices(rows: pd.DataFrame) -> Iterator[tuple[str, str, Labels]]:
    rows = rows.assign(**{name: _or_not_stated(rows[name]) for name in _STATED if name in rows})
    for column, title in NAMED.items():
        if column in rows and rows[column].nunique() > 1:
            for value in sorted(rows[column].dropna().astype(str).unique()):
                yield title, value, (rows[column].astype(str) == value).to_numpy(bool)
    yield from _subtypes(rows)
    measured = rows.assign(pixels=rows["width"] * rows["height"]) if "width" in rows else rows
    for column, title in QUARTERED.items():
        if column in measured and measured[column].nunique() >= 4:
            quarter = pd.qcut(measured[column], 4, duplicates="drop")
            for number, band in enumerate(quarter.cat.categories, start=1):
                name = f"quarter {number}: up to {band.right:.0f}"
                yield title, name, (quarter == band).to_numpy(bool)


def _or_not_stated(column: pd.Series) -> pd.Series:
    said = column.astype(object)
    return said.where(said.notna() & (said != ""), NOT_STATED)


def _subtypes(rows: pd.DataFrame) -> Iterator[tuple[str, str, Labels]]:
    """Bacterial and viral pneumonia where the source family names it."""
    for subtype in ("bacteria", "virus"):
        inside = rows["family"].astype(str).str.contains(subtype).to_numpy(bool)
        if inside.any():
            yield "kind of pneumonia", subtype, inside


def _share(hit: Labels, among: Labels, codes: NDArray[np.intp], draws: Draws) -> SliceShare:
    images = int(among.sum())
    if not images:
        return SliceShare(images=0, value=None, interval=None)
    hits, whole = (np.bincount(codes, mask, draws.shape[1]) for mask in (hit & among, among))
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = (draws @ hits) / (draws @ whole)
    value = float(hit[among].mean())
    return SliceShare(
        images=images,
        value=value,
        interval=rate_interval(value, images, replicates, kish_effect(codes[among])),
    )
