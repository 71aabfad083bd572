"""Leave a source out: what a model says of films of a source that it never saw, on training films alone.

Folds drawn at random share all their sources, and find nothing that the next hospital would. A source
that is left out takes many films of its label away, so each figure stands beside a control with as many
films left out at random.
"""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import roc_auc_score

from pneumo_tasks.evaluation.figures.metrics import Labels, Scores, calibration_error
from pneumo_tasks.settings import LABELS

RECALL = 0.97  # at which specificity is compared
OTHERS = 0.2  # share of the other label's patients that no fit sees: a source has but one label

# Given which films to leave out, fits on the rest; the probability of every film that was left out, in order.
FitWithout = Callable[[NDArray[np.bool_]], Scores]


class Profile(BaseModel):
    """What scores of films of both labels come to; specificity is that at a recall of RECALL."""

    model_config = ConfigDict(frozen=True)

    films: int
    auc: float
    specificity: float
    calibration_error: float


class LeftOut(BaseModel):
    """A source that was left out; ``control``: as many films of its label at random, once a draw."""

    model_config = ConfigDict(frozen=True)

    source: str
    label: str
    films: int
    left: int
    profile: Profile
    control: list[Profile]


def profile_of(ill: Labels, probability: Scores) -> Profile:
    """The profile of films of both labels; ValueError where a label is missing."""
    return Profile(
        films=len(ill),
        auc=float(roc_auc_score(ill, probability)),
        specificity=specificity_at(ill, probability, RECALL),
        calibration_error=calibration_error(ill, probability),
    )


def specificity_at(ill: Labels, probability: Scores, recall: float) -> float:
    """The specificity of the highest threshold whose recall is at least ``recall``."""
    found = np.sort(probability[ill])[::-1]
    threshold = found[int(np.ceil(round(recall * len(found), 9))) - 1]
    return float((probability[~ill] < threshold).mean())


def source_of(patients: "pd.Series[str]") -> "pd.Series[str]":
    """The source that a patient's id names: what stands before its number."""
    return patients.str.extract(r"^(.*?)\d*$")[0].str.rstrip(":")


def leave_sources_out(
    table: pd.DataFrame,
    fit_without: FitWithout,
    seed: int,
    draws: int = 3,
    only: Collection[str] | None = None,
) -> list[LeftOut]:
    """One row a source of ``table`` (patient, label, source), in the order of their names; or ``only`` some.

    Beside the source, a fifth of the other label's patients are left out: the fit has seen no film that is
    judged. A source without which a label is gone is passed over.
    """
    answers = []
    label = table["label"].to_numpy(str)
    for number, (source, part) in enumerate(table.groupby("source", sort=True)):
        rng = np.random.default_rng([seed, number])  # what is left out does not hang on the number of draws
        own = str(part["label"].iloc[0])
        mine = (table["source"] == source).to_numpy(bool) & (label == own)
        left = int((label == own).sum() - mine.sum())
        if not left or (only is not None and source not in only):
            continue
        other = _drawn(table, label != own, OTHERS * (label != own).sum(), rng)
        held = [mine] + [_drawn(table, label == own, mine.sum(), rng) for _ in range(draws)]
        judged = [_judged(table, fit_without, films | other) for films in held]
        answers.append(
            LeftOut(
                source=str(source),
                label=own,
                films=int(mine.sum()),
                left=left,
                profile=judged[0],
                control=judged[1:],
            )
        )
    return answers


def _drawn(
    table: pd.DataFrame, among: NDArray[np.bool_], films: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whole patients drawn from the films ``among``, until there are as many ``films``."""
    sizes = table.loc[among, "patient"].value_counts(sort=False).sort_index()
    sizes = sizes.iloc[rng.permutation(len(sizes))]
    chosen: Any = sizes.index[: int(np.searchsorted(sizes.cumsum().to_numpy(), films)) + 1]
    drawn: NDArray[np.bool_] = table["patient"].isin(chosen).to_numpy(bool) & among
    return drawn


def _judged(table: pd.DataFrame, fit_without: FitWithout, held: NDArray[np.bool_]) -> Profile:
    ill = (table.loc[held, "label"] == LABELS[1]).to_numpy(bool)
    return profile_of(ill, fit_without(held))
