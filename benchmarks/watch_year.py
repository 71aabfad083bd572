"""A year of watching the live model, simulated: false alarms, and weeks until a loss is found.

    python benchmarks/year.py watch --json

Nothing is trained. Recall and specificity begin at those of the default recipe on all public test films
(.982 and .883), a week brings 100 labelled patients of four sites, and a label arrives one to eight weeks
late (in one story three times as late). Beside the detector stands what most people do: a threshold on the
point estimate of each week.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.monitoring.detector import likelihood_ratios

WEEKS, YEARS, CHANGE = 52, 500, 12
RECALL, SPECIFICITY = 0.982, 0.883
TOLERANCE = {"recall": 0.01, "specificity": 0.03}
ILL, HEALTHY = 62, 38
SITES = (0.4, 0.3, 0.2, 0.1)
DELAYS = np.array([0.05, 0.15, 0.25, 0.25, 0.15, 0.1, 0.03, 0.02])  # weeks 1 to 8
LATE = np.repeat(DELAYS / 3, 3)  # weeks 1 to 24
CHANCE = 1 / (20 * 52)  # one false alarm in 20 years

Counts = NDArray[np.float64]


def delays_of(story: str) -> Counts:
    return LATE if story.endswith("labels three times as late") else DELAYS


def rates(story: str) -> tuple[Counts, Counts]:
    """(share of errors of the ill, of the healthy) by week of scoring and site, (WEEKS + delay, sites)."""
    latest = len(delays_of(story))
    weeks = np.arange(WEEKS + latest)[:, None] - latest
    missed = np.full((len(weeks), len(SITES)), 1 - RECALL)
    alarms = np.full((len(weeks), len(SITES)), 1 - SPECIFICITY)
    if story.startswith("sudden loss of 5 points of recall"):
        missed = missed + 0.05 * (weeks >= CHANGE)
    elif story == "slow drift, a quarter point of recall a week":
        missed = missed + 0.0025 * np.maximum(weeks - CHANGE, 0)
    elif story == "one site of ten percent loses 20 points of recall":
        missed[:, 3] += 0.20 * (weeks[:, 0] >= CHANGE)
    elif story == "sudden loss of 10 points of specificity":
        alarms = alarms + 0.10 * (weeks >= CHANGE)
    elif story == "at the limit itself":
        missed, alarms = missed + TOLERANCE["recall"], alarms + TOLERANCE["specificity"]
    return missed, alarms


def arrivals(
    share: Counts, patients: int, delays: Counts, generator: np.random.Generator
) -> tuple[Counts, Counts]:
    """(errors, patients) by year, week of arrival and site: each film is judged when its label comes."""
    shape = (YEARS, len(share), len(SITES))
    sent = generator.multinomial(patients, SITES, shape[:2])
    errors = np.zeros((YEARS, WEEKS, len(SITES)))
    arrived = np.zeros_like(errors)
    left, remaining = sent.copy(), 1.0
    for delay, part in enumerate(delays, start=1):
        now = generator.binomial(left, min(1.0, part / remaining))
        left, remaining = left - now, max(remaining - part, 1e-9)
        wrong = generator.binomial(now, share)
        first = len(delays) - delay  # the scored weeks whose labels arrive in weeks 0 to WEEKS - 1
        arrived += now[:, first : first + WEEKS]
        errors += wrong[:, first : first + WEEKS]
    return errors, arrived


def evidence(errors: Counts, patients: Counts, limit: float) -> Counts:
    """The detector's value after each week, (years, weeks, streams); as ``Detector.after`` adds it up."""
    ratios = likelihood_ratios(limit, errors, patients)
    sums, found = np.zeros_like(ratios[:, 0]), []
    for week in range(WEEKS):
        sums = np.minimum((1.0 + sums) * ratios[:, week], 1e300)
        found.append(sums.mean(-1))
    return np.stack(found, axis=1)


def first_week(alarms: NDArray[np.bool_]) -> Counts:
    """The first week of each year with an alarm, NaN where there is none."""
    return np.where(alarms.any(1), alarms.argmax(1), np.nan).astype(float)


def simulate(story: str, seed: int = 11) -> dict[str, Any]:
    """One row of the table: what the detector and the naive threshold do in YEARS simulated years."""
    generator = np.random.default_rng(seed)
    missed, alarms = rates(story)
    combined, naive = np.zeros((YEARS, WEEKS)), np.zeros((YEARS, WEEKS), bool)
    arrived_films = np.zeros((YEARS, WEEKS))
    for share, patients, name, rate in (
        (missed, ILL, "recall", RECALL),
        (alarms, HEALTHY, "specificity", SPECIFICITY),
    ):
        errors, arrived = arrivals(share, patients, delays_of(story), generator)
        limit = 1 - rate + TOLERANCE[name]
        whole = evidence(errors.sum(-1, keepdims=True), arrived.sum(-1, keepdims=True), limit)
        combined += (whole.mean(-1) + evidence(errors, arrived, limit).mean(-1)) / 4
        naive |= errors.sum(-1) > limit * np.maximum(arrived.sum(-1), 1)
        arrived_films += arrived.sum(-1)
    ours = first_week(combined >= 1 / CHANCE)
    after = first_week(naive[:, CHANGE:])
    row: dict[str, Any] = {"story": story}
    if story in ("nothing happens", "at the limit itself"):
        return row | {
            "false_alarms_a_year": float(np.isfinite(ours).mean()),
            "naive_alarms_a_year": float(naive.sum(1).mean()),
        }
    found = ours[ours >= CHANGE]
    labels = [
        arrived_films[at, CHANGE : int(week) + 1].sum() for at, week in enumerate(ours) if week >= CHANGE
    ]
    return row | {
        "found_within_the_year": float((ours >= CHANGE).mean()),
        "weeks_median": float(np.median(found) - CHANGE + 1) if len(found) else None,
        "weeks_90_percent": float(np.quantile(found, 0.9) - CHANGE + 1) if len(found) else None,
        "films_median": float(np.median(found - CHANGE + 1) * (ILL + HEALTHY)) if len(found) else None,
        "labels_median": float(np.median(labels)) if labels else None,
        "alarms_before_the_change": float((ours < CHANGE).mean()),
        "naive_weeks_median": float(np.nanmedian(after) + 1),
        "naive_alarms_before_the_change": float(naive[:, :CHANGE].any(1).mean()),
    }


STORIES = (
    "nothing happens",
    "at the limit itself",
    "sudden loss of 5 points of recall",
    "sudden loss of 5 points of recall, labels three times as late",
    "slow drift, a quarter point of recall a week",
    "one site of ten percent loses 20 points of recall",
    "sudden loss of 10 points of specificity",
)


def watch_table() -> dict[str, Any]:
    """Every story, and what it took to simulate them."""
    started = time.monotonic()
    rows = [simulate(story) for story in STORIES]
    return {
        "years": YEARS,
        "chance": CHANCE,
        "rows": rows,
        "seconds": round(time.monotonic() - started, 1),
    }


def as_text(table: dict[str, Any]) -> str:
    lines = []
    for row in table["rows"]:
        lines.append(row["story"])
        for name, value in list(row.items())[1:]:
            lines.append(f"  {name.replace('_', ' ')}: {'-' if value is None else format(value, '.3g')}")
    return "\n".join(lines) + "\n"
