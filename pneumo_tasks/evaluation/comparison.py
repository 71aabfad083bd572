"""The candidate against another model, on the same images and the same resamples of patients."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binomtest

from pneumo_tasks.evaluation.figures.bootstrap import Draws, Resampled, replicate_metrics
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.intervals import correlation, defined, interval_of_both
from pneumo_tasks.evaluation.figures.metrics import Labels, Metrics, Scores, compute_metrics
from pneumo_tasks.evaluation.figures.paired_bound import (
    ONE_SIDED_5_PERCENT,
    TWO_SIDED_5_PERCENT,
    paired_effect,
    paired_interval,
)
from pneumo_tasks.evaluation.independence import Overlap
from pneumo_tasks.evaluation.reference import ChampionRef as ChampionRef

COMPARED = ("recall", "precision", "specificity", "accuracy", "auc")


class Difference(BaseModel):
    """Candidate minus other; ``low`` and ``high`` are a 95 % interval over patients.

    ``bound`` is the lower end of the 90 % interval: the true difference is below it with a
    probability of about 5 %. Non-inferiority is judged by it. Where the difference is one of
    verdicts, each end is the worse of the bootstrap's and the paired score interval's, so that a
    pair of models that never differ on these films may still differ on others.
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


class Pairs(BaseModel):
    """Films of one class that only the candidate, or only the other, calls right, of how many.

    At the effective number of films: those of one patient count as what they are worth.
    """

    model_config = ConfigDict(frozen=True)

    gained: float = Field(ge=0)
    lost: float = Field(ge=0)
    films: float = Field(gt=0)


class Comparison(BaseModel):
    """Another model on the same test images at its own threshold, and the differences to it.

    Films that the other model was trained on are left out of all of it; ``overlap`` counts them, and is
    None in comparisons that were made before anybody looked.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    run_id: str
    test: Metrics
    differences: dict[str, Difference | None]
    mcnemar: dict[str, McNemar]
    pairs: dict[str, Pairs] = {}  # by figure: recall, specificity; empty in older evaluations
    flips: list[Flip]
    overlap: Overlap | None = None


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
        differences=_differences(positive, (found, right), (test, other_right), theirs, resampled)
        if positive.any() and not positive.all()
        else dict.fromkeys(COMPARED),
        mcnemar={
            "pneumonia": mcnemar(right[positive], other_right[positive]),
            "normal": mcnemar(right[~positive], other_right[~positive]),
        },
        pairs=_pairs(positive, right, other_right, resampled.codes),
        flips=_flips(scores.assign(other_probability=theirs), right, other_right),
    )


def _pairs(positive: Labels, right: Labels, other_right: Labels, codes: NDArray[np.intp]) -> dict[str, Pairs]:
    found = {}
    for name, among in {"recall": positive, "specificity": ~positive}.items():
        if among.any():
            change = right[among].astype(np.int8) - other_right[among].astype(np.int8)
            effect = paired_effect(change, codes[among])
            gained, lost = (change > 0).sum() / effect, (change < 0).sum() / effect
            found[name] = Pairs(gained=float(gained), lost=float(lost), films=len(change) / effect)
    return found


def against_trivial(
    positive: Labels, found: Metrics, called: Labels, trivial: Metrics, resampled: Resampled
) -> dict[str, Difference | None]:
    """What the candidate ``found`` is ahead of calling every film ill, on the same films and resamples."""
    ours = found, called == positive
    return _differences(positive, ours, (trivial, positive), np.ones(len(positive)), resampled)


def mcnemar(right: Labels, other_right: Labels) -> McNemar:
    """McNemar's exact test (1947) on paired verdicts."""
    ours, theirs = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    p = float(binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0
    return McNemar(only_candidate_right=ours, only_other_right=theirs, p=p)


def _differences(
    positive: Labels,
    ours: tuple[Metrics, Labels],
    other: tuple[Metrics, Labels],
    theirs: Scores,
    resampled: Resampled,
) -> dict[str, Difference | None]:
    """Of two models, each given by its metrics and by the films it calls right."""
    mine = resampled.replicates
    replicates = replicate_metrics(positive, theirs, other[0].threshold, resampled.codes, resampled.draws)
    drawn = {name: mine[name] - replicates[name] for name in COMPARED}
    found = {
        name: _difference(getattr(ours[0], name), getattr(other[0], name), drawn[name]) for name in COMPARED
    }
    if not positive.any() or positive.all():
        return found
    shared = correlation(drawn["recall"], drawn["specificity"])
    for z in (ONE_SIDED_5_PERCENT, TWO_SIDED_5_PERCENT):
        ends = _score_ends(positive, ours, other, resampled.codes, z, shared)
        found |= {name: _worse(found[name], ends[name], z) for name in ends}
    return found


def _difference(ours: float | None, theirs: float | None, replicates: Draws) -> Difference | None:
    """None, which fails every rule on it, where a figure or too many of its resamples are undefined."""
    finite = defined(replicates)
    if ours is None or theirs is None or finite is None:
        return None
    low, bound, high = np.quantile(finite, [0.025, 0.05, 0.975])
    return Difference(value=ours - theirs, low=float(low), high=float(high), bound=float(bound))


def _score_ends(
    positive: Labels,
    ours: tuple[Metrics, Labels],
    other: tuple[Metrics, Labels],
    codes: NDArray[np.intp],
    z: float,
    shared: float,
) -> dict[str, tuple[float, float]]:
    """The paired score interval of recall and specificity, and what follows for figures made of the two."""
    classes = {"recall": positive, "specificity": ~positive}
    ends = {
        name: paired_interval(ours[1][among], other[1][among], codes[among], z)
        for name, among in classes.items()
    }
    reach = {}
    for name, (low, high) in ends.items():
        base = getattr(other[0], name)
        reach[name] = Interval(low=base + low, high=base + high)
    for name in ("precision", "accuracy"):
        base = getattr(other[0], name)
        if base is not None and getattr(ours[0], name) is not None:
            joint = interval_of_both(name, ours[0], reach["recall"], reach["specificity"], shared, 0.95)
            ends[name] = joint.low - base, joint.high - base
    return ends


def _worse(found: Difference | None, ends: tuple[float, float], z: float) -> Difference | None:
    if found is None:
        return None
    low, high = ends
    if z == ONE_SIDED_5_PERCENT:
        return found.model_copy(update={"bound": min(found.bound, low)})
    return found.model_copy(update={"low": min(found.low, low), "high": max(found.high, high)})


def _flips(scores: pd.DataFrame, right: Labels, other_right: Labels) -> list[Flip]:
    """The verdicts that changed, broken ones first, the greatest change of probability first."""
    flipped = scores.assign(
        kind=np.where(right, "mended", "broken"),
        change=(scores["probability"] - scores["other_probability"]).abs(),
    )[right != other_right].sort_values(["kind", "change", "sha256"], ascending=[True, False, True])
    return [Flip(**row) for row in flipped[list(Flip.model_fields)].to_dict("records")]
