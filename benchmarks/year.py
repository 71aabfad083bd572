"""A year of weekly candidates: what a gate for one candidate loses by and by, and what a budget keeps.

Every film of the test set has a verdict, right or wrong, under each promoted version. A candidate
comes from the champion: its true recall and specificity change by a normal deviate (deviation .4
points) around a weekly mean, 1 % of the verdicts flip and half the change beside, and the flips of the
test films are drawn from it. A promoted candidate is the next champion, on the same films. In the
growing test set a tenth of the first films joins each month; in the year of one gain the candidates of
four weeks are 2 points of recall better until one is promoted.

Usage: python benchmarks/year.py gate [--json] [--years N]
       python benchmarks/year.py watch [--json]      a year of watching the live model (see watch_year.py)
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

if __package__ in (None, ""):  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.watch_year import as_text, watch_table
from pneumo_tasks.evaluation.figures.paired_bound import ONE_SIDED_5_PERCENT, score_bound

WEEKS, GAIN_WEEK, GAIN_WITHIN = 52, 26, 4
DRIFTS, GAIN = (0.0, -0.001, -0.002, -0.004), 0.02
DEVIATION, FLIPS = 0.004, 0.01
FILMS, START = (390, 234), (0.96, 0.88)
LOSS, MARGINS = 0.03, (0.02, 0.03)
GROWTH, MONTH = 0.1, 4

Bools = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass
class Lineage:
    """One class of films in many years at once: verdicts of champion, original and best so far."""

    champion: Bools
    original: Bools
    best: Bools
    truth: Numbers

    @classmethod
    def begin(cls, random: np.random.Generator, years: int, films: int, share: float) -> "Lineage":
        right = random.random((years, films)) < share
        return cls(right, right.copy(), right.copy(), np.full(years, share))

    def candidate(self, random: np.random.Generator, change: Numbers) -> tuple[Bools, Numbers]:
        truth = np.clip(self.truth + change, 0.01, 0.999)
        moved = truth - self.truth
        flips = FLIPS + np.abs(moved) / 2
        flips = np.maximum(flips, np.abs(moved))
        broken = np.clip((flips - moved) / 2 / self.truth, 0, 1)[:, None]
        mended = np.clip((flips + moved) / 2 / (1 - self.truth), 0, 1)[:, None]
        drawn = random.random(self.champion.shape)
        return np.where(self.champion, drawn >= broken, drawn < mended), truth

    def promote(self, which: Bools, right: Bools, truth: Numbers, films: int) -> None:
        """The best so far is the promoted version with the most right verdicts on today's films."""
        self.champion = np.where(which[:, None], right, self.champion)
        self.truth = np.where(which, truth, self.truth)
        better = right[:, :films].sum(axis=1) > self.best[:, :films].sum(axis=1)
        self.best = np.where((which & better)[:, None], right, self.best)


# A rule: the candidate's films and another version's, of one class; which years may promote.
Rule = Callable[[Bools, Lineage, int, float], Bools]


def paired(right: Bools, other: Bools, films: int) -> tuple[Numbers, Numbers]:
    ours, theirs = right[:, :films], other[:, :films]
    return (ours & ~theirs).sum(axis=1).astype(float), (theirs & ~ours).sum(axis=1).astype(float)


def before(right: Bools, line: Lineage, films: int, margin: float) -> Bools:
    """The gate as it was: the bootstrap's lower end against the champion alone (normal approximation)."""
    return _bootstrap_bound(*paired(right, line.champion, films), films) >= -margin


def with_original(right: Bools, line: Lineage, films: int, margin: float) -> Bools:
    kept = _bootstrap_bound(*paired(right, line.original, films), films) >= -margin
    return np.asarray(before(right, line, films, margin) & kept)


def never_below(right: Bools, line: Lineage, films: int, _margin: float) -> Bools:
    gained, lost = paired(right, line.champion, films)
    return np.asarray(gained >= lost)


def today(right: Bools, line: Lineage, films: int, margin: float) -> Bools:
    """The gate for one candidate as it is: Tango's score bound against the champion."""
    return np.asarray(score_bound(*paired(right, line.champion, films), films) >= -margin)


def budgeted(right: Bools, line: Lineage, films: int, margin: float) -> Bools:
    """The gate of today, and what is free by `deciding.steps`: nobody asks for a sideways step."""
    passed = today(right, line, films, margin)
    for other in (line.champion, line.best, line.original):
        gained, lost = paired(right, other, films)
        passed &= gained >= lost
    return np.asarray(passed)


def _bootstrap_bound(gained: Numbers, lost: Numbers, films: int) -> Numbers:
    mean = (gained - lost) / films
    return np.asarray(mean - ONE_SIDED_5_PERCENT * np.sqrt((gained + lost - films * mean**2) / films**2))


RULES: dict[str, tuple[Rule, bool]] = {
    "the gate as it was, recall alone": (before, False),
    "and the original, recall alone": (with_original, False),
    "never below the champion, recall alone": (never_below, False),
    "the gate as it was": (before, True),
    "never below the champion": (never_below, True),
    "the gate of today": (today, True),
    "with the error budget": (budgeted, True),
}


def simulate(rule: Rule, both: bool, drift: float | None, grows: bool, years: int) -> dict[str, float]:
    """``years`` years of one rule; ``drift`` None is the year with one gain. Growing: a tenth a month."""
    random = np.random.default_rng(7)
    most = 1 + GROWTH * (WEEKS // MONTH if grows else 0)
    lines = [
        Lineage.begin(random, years, round(n * most), share) for n, share in zip(FILMS, START, strict=True)
    ]
    promotions, gained = np.zeros(years), np.zeros(years, bool)
    for week in range(WEEKS):
        grown = 1 + GROWTH * (week // MONTH if grows else 0)
        candidates, passed = [], np.ones(years, bool)
        offered = drift is None and GAIN_WEEK <= week < GAIN_WEEK + GAIN_WITHIN
        for place, line in enumerate(lines):
            change = random.normal(drift or 0.0, DEVIATION, years)
            if offered and place == 0:
                change = np.full(years, GAIN)
            right, truth = line.candidate(random, change)
            films = round(FILMS[place] * grown)
            if both or place == 0:
                passed &= rule(right, line, films, MARGINS[place])
            candidates.append((right, truth, films))
        passed &= ~gained if offered else True
        for line, (right, truth, films) in zip(lines, candidates, strict=True):
            line.promote(passed, right, truth, films)
        promotions += passed
        gained |= passed & offered
    said = {
        "3 points of recall lost": float(np.mean(lines[0].truth <= START[0] - LOSS)),
        "3 points of specificity lost": float(np.mean(lines[1].truth <= START[1] - LOSS)),
        "promotions a year": float(promotions.mean()),
    }
    return said | ({"gain promoted within four weeks": float(gained.mean())} if drift is None else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["gate", "watch"])
    parser.add_argument("--years", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.part == "watch":
        table = watch_table()
        sys.stdout.write(json.dumps(table, indent=1) + "\n" if given.json else as_text(table))
        return
    rows = []
    for name, (rule, both) in RULES.items():
        for grows in (False, True):
            for drift in (*DRIFTS, None):
                found = simulate(rule, both, drift, grows, given.years)
                scene = {
                    "rule": name,
                    "test set grows": grows,
                    "drift": "one gain" if drift is None else drift,
                }
                rows.append(scene | found)
                if not given.json:
                    sys.stdout.write("  ".join(f"{key}: {value}" for key, value in rows[-1].items()) + "\n")
    if given.json:
        sys.stdout.write(json.dumps({"years": given.years, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
