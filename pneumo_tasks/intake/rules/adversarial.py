"""Adversarial validation: can a classifier tell two sets of images apart? Arrays in, an AUC out.

0.5 means that it cannot. Intensity statistics are blind to how a film is framed; this is not: on the
public data set the test NORMAL films stand out from the train NORMAL films with 0.92 to 0.93 by
their 32 x 32 thumbnails alone, random patients with about 0.5.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]

SEED = 7
_MOST, _FOLDS, _RIDGE, _DRAWS = 1500, 5, 1.0, 4


def adversarial_auc(
    one: Features, other: Features, one_patients: Sequence[str], other_patients: Sequence[str]
) -> float:
    """ROC AUC (out of fold, no patient in two folds) of telling the rows of ``one`` from ``other``.

    Both are (images, features), in one unit: the classifier looks at Euclidean distances. At most
    1,500 rows of each are used, drawn with a fixed seed. Raises ValueError where a side has fewer
    than two patients.
    """
    one, names = _sampled(one, one_patients)
    other, other_names = _sampled(other, other_patients)
    is_one = np.r_[np.ones(len(one), bool), np.zeros(len(other), bool)]
    return _told_apart(_similarity(np.vstack([one, other])), is_one, np.r_[names, other_names])


def control_auc(known: Features, patients: Sequence[str], images: int) -> float:
    """What ``adversarial_auc`` says of patients drawn at random from ``known`` against all the others.

    The mean over a few draws of about ``images`` films (at most half): chance, for these data.
    """
    known, names = _sampled(known, patients)
    similarity, random = _similarity(known), np.random.default_rng(SEED)
    found = []
    for _ in range(_DRAWS):
        unique, counts = np.unique(names, return_counts=True)
        order = random.permutation(len(unique))
        enough = 1 + int(np.searchsorted(counts[order].cumsum(), min(images, len(known) // 2)))
        drawn = np.isin(names, unique[order[: max(2, min(enough, len(unique) - 2))]])
        found.append(_told_apart(similarity, drawn, names))
    return float(np.mean(found))


def standardised(thumbnails: Sequence[bytes]) -> NDArray[np.float32]:
    """uint8 thumbnails as rows of mean 0 and deviation 1: brightness and contrast are not asked here."""
    pixels = np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(thumbnails), -1).astype(np.float32)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-6)
    return scaled


def _sampled(rows: Features, patients: Sequence[str]) -> tuple[Features, NDArray[np.str_]]:
    names = np.asarray(patients, dtype=str)
    if len(rows) <= _MOST:
        return rows, names
    chosen = np.sort(np.random.default_rng(SEED).choice(len(rows), _MOST, replace=False))
    return rows[chosen], names[chosen]


def _similarity(rows: Features) -> NDArray[np.float64]:
    """An RBF kernel whose width is the mean squared distance of the rows."""
    from sklearn.metrics.pairwise import euclidean_distances

    squared = euclidean_distances(np.asarray(rows, np.float64), squared=True)
    kernel: NDArray[np.float64] = np.exp(-squared / max(float(squared.mean()), 1e-12))
    return kernel


def _told_apart(similarity: NDArray[np.float64], is_one: NDArray[np.bool_], names: NDArray[np.str_]) -> float:
    """Out-of-fold AUC of a balanced kernel ridge classifier; closed form, so a second for 3,000 rows."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(np.unique(names[is_one])), len(np.unique(names[~is_one])))
    if fewest < 2:
        raise ValueError("adversarial validation needs two patients on each side")
    weights = np.where(is_one, 0.5 / is_one.mean(), 0.5 / (~is_one).mean())
    target, scores = np.where(is_one, 1.0, -1.0), np.zeros(len(is_one))
    folds = StratifiedGroupKFold(min(_FOLDS, fewest), shuffle=True, random_state=SEED)
    for fit, held in folds.split(target, is_one, names):
        model = KernelRidge(alpha=_RIDGE, kernel="precomputed")
        model.fit(similarity[np.ix_(fit, fit)], target[fit], sample_weight=weights[fit])
        scores[held] = model.predict(similarity[np.ix_(held, fit)])
    return float(roc_auc_score(is_one, scores))
