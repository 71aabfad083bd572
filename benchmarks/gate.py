"""The gate's operating characteristics, and how often its intervals hold the truth.

Simulated test sets of 390 pneumonias of 203 patients and 234 normals of 225, as the public one has
them. Each film has a latent difficulty: part the patient's, part its own; two models share
``agreement`` of what is left. The bootstrap, the intervals and the margins are those of the product.

``small``: the rule against the champion alone, for 5 to 390 ill patients with 1.9 films each.

Usage: python benchmarks/gate.py [--json] [--repeats N] [--resamples N] [--part gate|coverage|small]
"""

import argparse
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pneumo_tasks.evaluation.figures.bootstrap import draw_patients, replicate_metrics, replicate_rates
from pneumo_tasks.evaluation.figures.clustering import WorstEffects
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.intervals import interval_of_both, intervals
from pneumo_tasks.evaluation.figures.metrics import compute_metrics
from pneumo_tasks.evaluation.figures.paired_bound import (
    ONE_SIDED_5_PERCENT,
    TWO_SIDED_5_PERCENT,
    paired_interval,
)
from pneumo_tasks.settings import Settings

PATIENTS, FILMS = (203, 225), (390, 234)
CHAMPION = {"recall": 0.97, "specificity": 0.88}
RECALL_LOSSES = (0.0, 0.01, 0.02, 0.03, 0.04)
AGREEMENTS = (0.98, 0.95, 0.9, 0.8)
SIMILARITIES = (0.0, 0.3, 0.6)
OPERATING_POINTS = ((0.94, 0.75), (0.97, 0.88), (0.985, 0.95))
COVERED = ("recall", "specificity", "precision", "npv", "f1", "accuracy", "auc")
SIMILARITY, THRESHOLD = 0.3, 0.5
SMALL = (5, 10, 20, 40, 80, 133, 160, 203, 390)
SMALL_LOSSES = (0.0, 0.02, 0.05)

Random = np.random.Generator
Scores = NDArray[np.float64]
Rates = dict[str, NDArray[np.float64]]


def films(random: Random) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Labels and patient codes; every patient has a film, the others fall on patients at random."""
    codes, start = [], 0
    for patients, images in zip(PATIENTS, FILMS, strict=True):
        more = random.integers(0, patients, images - patients)
        codes.append(np.r_[np.arange(patients), more] + start)
        start += patients
    return np.arange(sum(FILMS)) < FILMS[0], np.concatenate(codes)


def scores(
    random: Random,
    positive: NDArray[np.bool_],
    codes: NDArray[np.intp],
    models: list[dict[str, float]],
    agreement: float,
    similarity: float = SIMILARITY,
) -> list[Scores]:
    """Probabilities of each model, with its true recall and specificity at the threshold."""
    patient = random.normal(size=sum(PATIENTS))[codes]
    common = random.normal(size=len(positive))
    drawn = []
    for model in models:
        own = np.sqrt(agreement) * common + np.sqrt(1 - agreement) * random.normal(size=len(positive))
        latent = np.sqrt(similarity) * patient + np.sqrt(1 - similarity) * own
        shift = np.where(positive, norm.ppf(model["recall"]), -norm.ppf(model["specificity"]))
        drawn.append(norm.cdf(latent + shift))
    return drawn


def drawn_patients(random: Random, resamples: int) -> NDArray[np.float64]:
    ill = np.arange(sum(PATIENTS)) < PATIENTS[0]
    return draw_patients(ill, resamples, int(random.integers(2**31)))


def promoted(
    settings: Settings, random: Random, loss: float, agreement: float, resamples: int
) -> dict[str, float]:
    """One candidate that has truly lost ``loss`` of recall: what each kind of gate says."""
    positive, codes = films(random)
    candidate = CHAMPION | {"recall": CHAMPION["recall"] - loss}
    ours, theirs = scores(random, positive, codes, [candidate, CHAMPION], agreement)
    called, other_called = ours >= THRESHOLD, theirs >= THRESHOLD
    draws = drawn_patients(random, resamples)
    mine, other = (replicate_rates(positive, verdicts, codes, draws) for verdicts in (called, other_called))
    found = compute_metrics(positive, ours, THRESHOLD)
    floors = (found.recall or 0) >= settings.min_recall and (found.precision or 0) >= settings.min_precision
    kept = {
        z: _not_inferior(settings, (mine, other), (called, other_called), (positive, codes), z)
        for z in (ONE_SIDED_5_PERCENT, TWO_SIDED_5_PERCENT)
    }
    before = _boot(mine, other, "recall", 0.05) >= -settings.recall_margin
    before &= _boot(mine, other, "precision", 0.05) >= -settings.precision_margin
    return {
        "gate": bool(floors and kept[ONE_SIDED_5_PERCENT]),
        "with the 95 % interval": bool(floors and kept[TWO_SIDED_5_PERCENT]),
        "bootstrap alone": bool(floors and before),
        "floor .95 alone": (found.recall or 0) >= 0.95,
        "verdicts that differ": float(np.mean(called != other_called)),
    }


def _boot(mine: Rates, other: Rates, name: str, quantile: float) -> float:
    return float(np.quantile(mine[name] - other[name], quantile))


def _not_inferior(
    settings: Settings,
    rates: tuple[Rates, Rates],
    verdicts: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    test: tuple[NDArray[np.bool_], NDArray[np.intp]],
    z: float,
) -> bool:
    """What the product's rules on recall and precision say, at the one-sided level of ``z``."""
    positive, codes = test
    ours, theirs = (compute_metrics(positive, called.astype(float), THRESHOLD) for called in verdicts)
    reach = {}
    for name, among in (("recall", positive), ("specificity", ~positive)):
        right = [verdict[among] == positive[among] for verdict in verdicts]
        low, high = paired_interval(right[0], right[1], codes[among], z)
        reach[name] = Interval(low=getattr(theirs, name) + low, high=getattr(theirs, name) + high)
    joint = interval_of_both("precision", ours, reach["recall"], reach["specificity"], 0.0, 0.95)
    quantile = 1 - float(norm.cdf(z))
    recall = min(reach["recall"].low - (theirs.recall or 0), _boot(*rates, "recall", quantile))
    precision = min(joint.low - (theirs.precision or 0), _boot(*rates, "precision", quantile))
    return recall >= -settings.recall_margin and precision >= -settings.precision_margin


def few_patients(random: Random, repeats: int, resamples: int) -> list[dict[str, float]]:
    """How often the rule on recall passes, by its former bound and by that of today; margin 2 points."""
    rows = []
    for agreement in (0.98, 0.95):
        for loss in SMALL_LOSSES:
            for patients in SMALL:
                passed = [_few(random, patients, loss, agreement, resamples) for _ in range(repeats)]
                before, after = np.mean(passed, axis=0)
                row = {"agreement": agreement, "recall lost": loss, "patients": float(patients)}
                rows.append(row | {"bootstrap alone": float(before), "worse of both": float(after)})
    return rows


def _few(random: Random, patients: int, loss: float, agreement: float, resamples: int) -> tuple[bool, bool]:
    films_of_all = round(patients * FILMS[0] / PATIENTS[0])
    codes = np.r_[np.arange(patients), random.integers(0, patients, films_of_all - patients)]
    patient, common = random.normal(size=patients)[codes], random.normal(size=len(codes))
    right = []
    for recall in (CHAMPION["recall"] - loss, CHAMPION["recall"]):
        own = np.sqrt(agreement) * common + np.sqrt(1 - agreement) * random.normal(size=len(codes))
        right.append(np.sqrt(SIMILARITY) * patient + np.sqrt(1 - SIMILARITY) * own > -norm.ppf(recall))
    change = np.bincount(codes, right[0].astype(float) - right[1])
    draws = random.multinomial(patients, np.full(patients, 1 / patients), resamples)
    bootstrap = float(np.quantile((draws @ change) / (draws @ np.bincount(codes)), 0.05))
    score, _ = paired_interval(right[0], right[1], codes, ONE_SIDED_5_PERCENT)
    return bootstrap >= -0.02, min(bootstrap, score) >= -0.02


def operating_characteristics(random: Random, repeats: int, resamples: int) -> list[dict[str, float]]:
    settings = Settings.model_construct(min_recall=0.94, min_precision=0.80)
    rows = []
    for agreement in AGREEMENTS:
        for loss in RECALL_LOSSES:
            said = [promoted(settings, random, loss, agreement, resamples) for _ in range(repeats)]
            shares = {name: float(np.mean([one[name] for one in said])) for name in said[0]}
            rows.append({"agreement": agreement, "recall lost": loss, **shares})
    return rows


def coverage(random: Random, repeats: int, resamples: int) -> list[dict[str, float]]:
    """How often the 95 % intervals hold the true value, a row for each operating point and similarity."""
    rows = []
    for recall, specificity in OPERATING_POINTS:
        model = {"recall": recall, "specificity": specificity}
        truth = _truth(recall, specificity)
        for similarity in SIMILARITIES:
            hits = dict.fromkeys(COVERED, 0)
            for _ in range(repeats):
                positive, codes = films(random)
                (probability,) = scores(random, positive, codes, [model], 0.9, similarity)
                draws = drawn_patients(random, resamples)
                replicates = replicate_metrics(positive, probability, THRESHOLD, codes, draws)
                test = compute_metrics(positive, probability, THRESHOLD)
                found = intervals(test, replicates, WorstEffects.of(positive, codes))
                for name in COVERED:
                    interval = found[name]
                    hits[name] += interval is not None and interval.low <= truth[name] <= interval.high
            place = {"true recall": recall, "true specificity": specificity, "similarity": similarity}
            rows.append(place | {name: hit / repeats for name, hit in hits.items()})
    return rows


def _truth(recall: float, specificity: float) -> dict[str, float]:
    ill, well = FILMS
    found, alarms = ill * recall, well * (1 - specificity)
    spread = norm.ppf(recall) + norm.ppf(specificity)
    return {
        "recall": recall,
        "specificity": specificity,
        "precision": found / (found + alarms),
        "npv": well * specificity / (well * specificity + ill * (1 - recall)),
        "f1": 2 * found / (found + alarms + ill),
        "accuracy": (found + well * specificity) / (ill + well),
        "auc": float(norm.cdf(spread / np.sqrt(2))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--part", choices=["gate", "coverage", "small"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    parts = {"gate": operating_characteristics, "coverage": coverage, "small": few_patients}
    report: dict[str, Any] = {"repeats": given.repeats, "resamples": given.resamples}
    for name, measure in parts.items():
        if given.part in (None, name):
            report[name] = measure(np.random.default_rng(7), given.repeats, given.resamples)
    if given.json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return
    for name in parts:
        for row in report.get(name, []):
            sys.stdout.write(
                f"{name}: " + "  ".join(f"{key} {value:.3f}" for key, value in row.items()) + "\n"
            )


if __name__ == "__main__":
    main()
