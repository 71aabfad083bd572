"""Drift: is a new batch like the films accepted before, label by label?

Two views. Population stability (PSI) and Kolmogorov-Smirnov look at one fact at a time and are
blind to framing. Adversarial validation asks a linear classifier to tell the new films from the
known ones by their thumbnails: 0.5 means it cannot. On the public data set the test NORMAL films
stand out from the train NORMAL films with 0.93 although their grey levels hardly differ.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FACTS = ("grey_mean", "grey_deviation", "clipped_share", "aspect", "bytes_per_pixel")
MIN_IMAGES = 50
_MOST_IMAGES, _FOLDS, _COMPONENTS, _SEED = 1500, 5, 40, 7


@dataclass(frozen=True)
class Drift:
    """One label: the largest PSI and KS over FACTS and the fact it is of, the adversarial AUC, and
    the control: the AUC of random accepted patients against the other accepted patients.
    """

    label: str
    images: int
    known: int
    psi: float
    ks: float
    fact: str
    auc: float
    control: float


def measure_drift(films: pd.DataFrame, accepted: pd.DataFrame, label: str) -> Drift | None:
    """Compare the films of one label; None where either side has fewer than MIN_IMAGES.

    Both frames have columns label, patient, thumbnail, width, height, bytes and the grey facts.
    """
    new, known = (frame[frame["label"] == label] for frame in (films, accepted))
    if min(len(new), len(known)) < MIN_IMAGES:
        return None
    new, known = _sample(new), _sample(known)
    facts_new, facts_known = _facts(new), _facts(known)
    psi = {name: population_stability(facts_known[name], facts_new[name]) for name in FACTS}
    ks = {name: _kolmogorov_smirnov(facts_known[name], facts_new[name]) for name in FACTS}
    worst = max(psi, key=lambda name: psi[name])
    return Drift(
        label=label,
        images=len(new),
        known=len(known),
        psi=psi[worst],
        ks=max(ks.values()),
        fact=worst,
        auc=adversarial_auc(new, known),
        control=_control(known, len(new)),
    )


def population_stability(known: NDArray[np.float64], new: NDArray[np.float64], bins: int = 10) -> float:
    """PSI over the known values' deciles; below 0.1 is stable, above 0.25 a shift, by convention.

    An empty bin counts as half an image, so that the index stays finite.
    """
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for values in (known, new):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        shares.append(np.maximum(counts, 0.5) / len(values))
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def adversarial_auc(new: pd.DataFrame, known: pd.DataFrame) -> float:
    """How well a linear classifier tells the thumbnails apart, out of fold, no patient in two folds."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pixels = np.vstack([_thumbnails(new), _thumbnails(known)])
    is_new = np.r_[np.ones(len(new)), np.zeros(len(known))]
    groups = pd.concat([new["patient"], known["patient"]]).to_numpy()
    components = min(_COMPONENTS, len(pixels) // 4)
    model = make_pipeline(
        PCA(components, random_state=_SEED),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=500, class_weight="balanced"),
    )
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    scores = cross_val_predict(model, pixels, is_new, groups=groups, cv=folds, method="decision_function")
    return float(roc_auc_score(is_new, scores))


def _control(known: pd.DataFrame, images: int) -> float:
    """What ``adversarial_auc`` says of a random half of the same patients, at most ``images`` films."""
    patients = np.random.default_rng(_SEED).permutation(known["patient"].unique())
    running = known["patient"].value_counts()[patients].cumsum().to_numpy()
    count = max(1, int(np.searchsorted(running, min(images, len(known) // 2))))
    chosen = known["patient"].isin(patients[:count])
    return adversarial_auc(known[chosen], known[~chosen])


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(_MOST_IMAGES, random_state=_SEED) if len(frame) > _MOST_IMAGES else frame


def _facts(frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    known = {name: frame[name].to_numpy(float) for name in FACTS[:3]}
    width, height = frame["width"].to_numpy(float), frame["height"].to_numpy(float)
    return {
        **known,
        "aspect": width / height,
        "bytes_per_pixel": frame["bytes"].to_numpy(float) / (width * height),
    }


def _kolmogorov_smirnov(known: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(known, new).statistic)


def _thumbnails(frame: pd.DataFrame) -> NDArray[np.float32]:
    """Thumbnails as rows, each with mean 0 and deviation 1: brightness and contrast are not asked here."""
    pixels = np.frombuffer(b"".join(frame["thumbnail"]), np.uint8).reshape(len(frame), -1).astype(np.float32)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-6)
    return scaled
