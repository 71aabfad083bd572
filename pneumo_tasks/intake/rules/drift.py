"""Drift: is a new batch like the films accepted for training, label by label?

Two views. Population stability (PSI) and Kolmogorov-Smirnov look at one fact at a time and are
blind to framing; adversarial validation (see ``adversarial``) looks at thumbnails.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.intake.records.verdicts import Drift
from pneumo_tasks.intake.rules.adversarial import SEED, adversarial_auc, control_auc, standardised

FACTS = ("grey_mean", "grey_deviation", "clipped_share", "aspect", "bytes_per_pixel")
# Not the month: each new batch comes from another one.
COARSE = ("site", "view", "age_band", "sex", "device", "laterality", "priority")
NEEDED = ("label", "patient", "width", "height", "bytes", "thumbnail", *FACTS[:3])
MIN_IMAGES = 50
MOST_IMAGES = 1500
MOST_WORDS = 8


def measure_drift(films: pd.DataFrame, known: pd.DataFrame) -> Drift | None:
    """Compare films of one label; None where either side has fewer than MIN_IMAGES or two patients.

    Both frames have the columns NEEDED, and may have those of COARSE.
    """
    few = min(len(films), len(known)) < MIN_IMAGES
    if few or min(frame["patient"].nunique() for frame in (films, known)) < 4:
        return None
    label = str(films["label"].iat[0])
    films, known = sample(films), sample(known)
    facts_new, facts_known = _facts(films), _facts(known)
    psi = {name: population_stability(facts_known[name], facts_new[name]) for name in FACTS}
    ks = {name: kolmogorov_smirnov(facts_known[name], facts_new[name]) for name in FACTS}
    coarse = coarse_stability(known, films)
    coarse_fact = max(coarse, key=lambda name: coarse[name], default="")
    pixels, known_pixels = standardised(list(films["thumbnail"])), standardised(list(known["thumbnail"]))
    psi_fact, ks_fact = (max(found, key=lambda name: found[name]) for found in (psi, ks))
    return Drift(
        label=label,
        images=len(films),
        known=len(known),
        psi=psi[psi_fact],
        psi_fact=psi_fact,
        ks=ks[ks_fact],
        ks_fact=ks_fact,
        auc=adversarial_auc(pixels, known_pixels, list(films["patient"]), list(known["patient"])),
        control=control_auc(known_pixels, list(known["patient"]), len(films)),
        coarse_psi=coarse.get(coarse_fact, 0.0),
        coarse_fact=coarse_fact,
    )


def sample(frame: pd.DataFrame) -> pd.DataFrame:
    """At most MOST_IMAGES rows, the same ones every time."""
    return frame.sample(MOST_IMAGES, random_state=SEED) if len(frame) > MOST_IMAGES else frame


def population_stability(known: NDArray[np.float64], new: NDArray[np.float64], bins: int = 10) -> float:
    """PSI over the known values' deciles; below 0.1 is stable, above 0.25 a shift, by convention.

    An empty bin counts as half an image, so that the index stays finite.
    """
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (known, new)
    ]
    return _stability(*counts)


def coarse_stability(known: pd.DataFrame, new: pd.DataFrame) -> dict[str, float]:
    """PSI of each fact of COARSE that either side states; "not stated" is a word like any other."""
    found = {}
    for name in COARSE:
        sides = [_words(frame, name) for frame in (known, new)]
        words = list(pd.concat(sides).value_counts().index)
        if words != [""]:
            counts = [side.value_counts().reindex(words, fill_value=0).to_numpy() for side in sides]
            found[name] = _stability(*(_few(count) for count in counts))
    return found


def _few(counts: NDArray[Any]) -> NDArray[Any]:
    """The rare words as one: dozens of devices with a film each would be a shift in any batch."""
    return np.append(counts[:MOST_WORDS], counts[MOST_WORDS:].sum()) if len(counts) > MOST_WORDS else counts


def _words(frame: pd.DataFrame, name: str) -> pd.Series:
    said = frame[name].astype(object) if name in frame else pd.Series("", frame.index, dtype=object)
    return said.where(said.notna(), "")


def _stability(known: NDArray[Any], new: NDArray[Any]) -> float:
    before, after = (np.maximum(counts, 0.5) / counts.sum() for counts in (known, new))
    return float(((after - before) * np.log(after / before)).sum())


def kolmogorov_smirnov(known: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """The largest distance of the two cumulative distributions, 0 to 1."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(known, new).statistic)


def _facts(frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    known = {name: frame[name].to_numpy(float) for name in FACTS[:3]}
    width, height = frame["width"].to_numpy(float), frame["height"].to_numpy(float)
    return {
        **known,
        "aspect": width / height,
        "bytes_per_pixel": frame["bytes"].to_numpy(float) / (width * height),
    }
