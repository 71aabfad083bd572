"""The candidate against another model, on the same images and the same resamples of patients."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy.stats import binomtest

from pneumo_tasks.evaluation.bootstrap import Draws, Resampled, replicate_metrics
from pneumo_tasks.evaluation.intervals import defined
from pneumo_tasks.evaluation.metrics import Labels, Metrics, Scores, compute_metrics

COMPARED = ("recall", "precision", "specificity", "accuracy", "auc")


@dataclass(frozen=True)
class ChampionRef:
    """The champion a candidate is measured against, as it was when the evaluation began.

    ``original`` is the first model ever promoted, where that is another one: many small allowed
    steps down add up, and only a fixed reference shows it.
    """

    version: str
    sha256: str
    threshold: float
    run_id: str
    original: "ChampionRef | None" = None


class Difference(BaseModel):
    """Candidate minus other; ``low`` and ``high`` are a 95 % interval over patients.

    ``bound`` is the lower end of the 90 % interval: the true difference is below it with a
    probability of at most 5 %. Non-inferiority is judged by it.
    """

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float
    bound: float


class McNemar(BaseModel):
    """Images that one model calls right and the other wrong, and the exact two-sided p of a fair coin.

    Films of one patient are not independent, so p is a guide for reading, and no rule uses it.
    """

    model_config = ConfigDict(frozen=True)

    only_candidate_right: int
    only_other_right: int
    p: float


class Flip(BaseModel):
    """An image on which the verdict changed."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["mended", "broken"]
    sha256: str
    file: str
    label: str
    probability: float
    other_probability: float


class Comparison(BaseModel):
    """Another model on the same test images at its own threshold, and the differences to it."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    run_id: str
    test: Metrics
    differences: dict[str, Difference | None]
    mcnemar: dict[str, McNemar]
    flips: list[Flip]


def compare(
    scores: pd.DataFrame,
    other: ChampionRef,
    theirs: Scores,
    threshold: float,
    resampled: Resampled,
) -> Comparison:
    """Compare at the two models' own thresholds; ``resampled`` is the candidate's bootstrap."""
    positive = (scores["label"] == "PNEUMONIA").to_numpy(bool)
    mine: Scores = scores["probability"].to_numpy(np.float64)
    found = compute_metrics(positive, mine, threshold)
    test = compute_metrics(positive, theirs, other.threshold)
    right, other_right = (mine >= threshold) == positive, (theirs >= other.threshold) == positive
    return Comparison(
        version=other.version,
        sha256=other.sha256,
        run_id=other.run_id,
        test=test,
        differences=_differences(positive, found, test, theirs, resampled),
        mcnemar={
            "pneumonia": mcnemar(right[positive], other_right[positive]),
            "normal": mcnemar(right[~positive], other_right[~positive]),
        },
        flips=_flips(scores.assign(other_probability=theirs), right, other_right),
    )


def against_trivial(
    positive: Labels, found: Metrics, trivial: Metrics, resampled: Resampled
) -> dict[str, Difference | None]:
    """What the candidate ``found`` is ahead of calling every film ill, on the same films and resamples."""
    return _differences(positive, found, trivial, np.ones(len(positive)), resampled)


def mcnemar(right: Labels, other_right: Labels) -> McNemar:
    """McNemar's exact test (1947) on paired verdicts."""
    ours, theirs = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    p = float(binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0
    return McNemar(only_candidate_right=ours, only_other_right=theirs, p=p)


def _differences(
    positive: Labels, found: Metrics, other: Metrics, theirs: Scores, resampled: Resampled
) -> dict[str, Difference | None]:
    ours = resampled.replicates
    replicates = replicate_metrics(positive, theirs, other.threshold, resampled.codes, resampled.draws)
    return {
        name: _difference(getattr(found, name), getattr(other, name), ours[name] - replicates[name])
        for name in COMPARED
    }


def _difference(ours: float | None, theirs: float | None, replicates: Draws) -> Difference | None:
    """None, which fails every rule on it, where a figure or too many of its resamples are undefined."""
    finite = defined(replicates)
    if ours is None or theirs is None or finite is None:
        return None
    low, bound, high = np.quantile(finite, [0.025, 0.05, 0.975])
    return Difference(value=ours - theirs, low=float(low), high=float(high), bound=float(bound))


def _flips(scores: pd.DataFrame, right: Labels, other_right: Labels) -> list[Flip]:
    """The verdicts that changed, broken ones first, the greatest change of probability first."""
    flipped = scores.assign(
        kind=np.where(right, "mended", "broken"),
        change=(scores["probability"] - scores["other_probability"]).abs(),
    )[right != other_right].sort_values(["kind", "change", "sha256"], ascending=[True, False, True])
    return [Flip(**row) for row in flipped[list(Flip.model_fields)].to_dict("records")]
