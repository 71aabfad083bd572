"""The gate's operating characteristics: how often it promotes a candidate that is truly so good.

Simulated test sets of 390 pneumonias of 203 patients and 234 normals of 225, as the public one has
them. Each film has a latent difficulty: part the patient's, part its own; the two models share
``agreement`` of what is left. The bootstrap and the rules are those of the product.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pneumo_tasks.evaluation.bootstrap import draw_patients, intervals, replicate_metrics
from pneumo_tasks.evaluation.metrics import compute_metrics
from pneumo_tasks.settings import Settings

PATIENTS, FILMS = (203, 225), (390, 234)
CHAMPION = {"recall": 0.97, "specificity": 0.88}
RECALL_LOSSES = (0.0, 0.01, 0.02, 0.03, 0.04)
SIMILARITY = 0.3
THRESHOLD = 0.5

Random = np.random.Generator


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
) -> list[NDArray[np.float64]]:
    """Probabilities of each model, with its true recall and specificity at the threshold."""
    patient = random.normal(size=sum(PATIENTS))[codes]
    common = random.normal(size=len(positive))
    drawn = []
    for model in models:
        own = np.sqrt(agreement) * common + np.sqrt(1 - agreement) * random.normal(size=len(positive))
        latent = np.sqrt(SIMILARITY) * patient + np.sqrt(1 - SIMILARITY) * own
        shift = np.where(positive, norm.ppf(model["recall"]), -norm.ppf(model["specificity"]))
        drawn.append(norm.cdf(latent + shift))
    return drawn


def promoted(
    settings: Settings, random: Random, loss: float, agreement: float, resamples: int
) -> dict[str, bool]:
    """One candidate that has truly lost ``loss`` of recall: what each kind of gate says."""
    positive, codes = films(random)
    candidate = CHAMPION | {"recall": CHAMPION["recall"] - loss}
    ours, theirs = scores(random, positive, codes, [candidate, CHAMPION], agreement)
    draws = draw_patients(np.arange(sum(PATIENTS)) < PATIENTS[0], resamples, int(random.integers(2**31)))
    mine, other = (replicate_metrics(positive, p, THRESHOLD, codes, draws) for p in (ours, theirs))
    found = compute_metrics(positive, ours, THRESHOLD)
    floors = (found.recall or 0) >= settings.min_recall and (found.precision or 0) >= settings.min_precision
    kept = {
        quantile: np.quantile(mine["recall"] - other["recall"], quantile) >= -settings.recall_margin
        and np.quantile(mine["precision"] - other["precision"], quantile) >= -settings.precision_margin
        for quantile in (0.05, 0.025)
    }
    return {
        "gate": bool(floors and kept[0.05]),
        "gate, 95 % interval": bool(floors and kept[0.025]),
        "floor 0.95 alone": (found.recall or 0) >= 0.95,
    }


def coverage(random: Random, repeats: int, resamples: int) -> dict[str, float]:
    """How often the 95 % intervals hold the true value, on the same simulated films."""
    hits = {"recall": 0, "specificity": 0, "auc": 0}
    spread = norm.ppf(CHAMPION["recall"]) + norm.ppf(CHAMPION["specificity"])
    truth = CHAMPION | {"auc": float(norm.cdf(spread / np.sqrt(2)))}
    for _ in range(repeats):
        positive, codes = films(random)
        (probability,) = scores(random, positive, codes, [CHAMPION], 0.9)
        draws = draw_patients(np.arange(sum(PATIENTS)) < PATIENTS[0], resamples, int(random.integers(2**31)))
        replicates = replicate_metrics(positive, probability, THRESHOLD, codes, draws)
        found = intervals(compute_metrics(positive, probability, THRESHOLD), replicates)
        for name in hits:
            interval = found[name]
            hits[name] += interval is not None and interval.low <= truth[name] <= interval.high
    return {name: count / repeats for name, count in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    settings, random = Settings.model_construct(), np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    for agreement in (0.95, 0.9, 0.8):
        for loss in RECALL_LOSSES:
            said = [
                promoted(settings, random, loss, agreement, given.resamples) for _ in range(given.repeats)
            ]
            shares = {name: float(np.mean([one[name] for one in said])) for name in said[0]}
            rows.append({"agreement": agreement, "recall lost": loss, **shares})
    report = {
        "repeats": given.repeats,
        "promoted": rows,
        "coverage": coverage(random, given.repeats, given.resamples),
    }
    if given.json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return
    for row in rows:
        sys.stdout.write("  ".join(f"{name} {value:.3f}" for name, value in row.items()) + "\n")
    sys.stdout.write(f"coverage {report['coverage']}\n")


if __name__ == "__main__":
    main()
