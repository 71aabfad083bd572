"""Cross-fitting: a linear head for each fold of patients, fitted exactly, judged on patients it never saw.

Its loss is convex, so the optimum is unique: no epochs, no seed, no early stop that validation has
to choose. Every film gets a score from the one head that was not fitted on its patient; threshold
and calibration are chosen on those. The exported head is the mean of the folds' heads, which for
linear heads costs nothing to serve.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pneumo_tasks.errors import BadData
from pneumo_tasks.training.features.examples import Examples

log = logging.getLogger(__name__)

Values = NDArray[np.float64]

_STEPS = 100  # of Newton's method; it needs about ten


@dataclass(frozen=True)
class LinearHead:
    """``features @ kernel + bias`` is the logit of PNEUMONIA."""

    kernel: Values
    bias: float

    def logits(self, features: NDArray[np.float32]) -> Values:
        answer: Values = features @ self.kernel + self.bias
        return answer


@dataclass(frozen=True)
class CrossFit:
    """``heads`` by the fold each was not fitted on; ``logits`` of each example from that head."""

    heads: dict[int, LinearHead]
    logits: Values

    @property
    def mean(self) -> LinearHead:
        """The head whose logit is the mean of all the heads' logits."""
        kernels = np.stack([head.kernel for head in self.heads.values()])
        return LinearHead(kernels.mean(0), float(np.mean([head.bias for head in self.heads.values()])))


def cross_fit(
    features: NDArray[np.float32],
    labels: NDArray[np.float32],
    weights: NDArray[np.float32],
    folds: NDArray[np.int64],
    inverse_penalty: float,
) -> CrossFit:
    """Fit one head without each fold, and score the fold with it. BadData where a fit lacks a class."""
    heads: dict[int, LinearHead] = {}
    logits = np.zeros(len(labels))
    for fold in np.unique(folds):
        started, held = time.monotonic(), folds == fold
        head = fit_head(features[~held], labels[~held], weights[~held], inverse_penalty)
        heads[int(fold)], logits[held] = head, head.logits(features[held])
        log.info("head without fold %d: %d examples, %.1f s", fold, (~held).sum(), time.monotonic() - started)
    return CrossFit(heads, logits)


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.float32],
    weights: NDArray[np.float32],
    inverse_penalty: float,
) -> LinearHead:
    """The one head with the least penalised loss on standardised features, to machine precision.

    ``inverse_penalty`` is scikit-learn's C: smaller keeps the weights smaller.
    """
    if len(np.unique(labels)) < 2:
        raise BadData("a head needs films of both classes", do="Upload more patients, or use fewer folds.")
    scaler = StandardScaler()
    standard = scaler.fit_transform(features.astype(np.float64))
    solver = LogisticRegression(C=inverse_penalty, solver="newton-cholesky", tol=1e-8, max_iter=_STEPS)
    solver.fit(standard, labels, sample_weight=weights)
    kernel: Values = solver.coef_[0] / scaler.scale_
    return LinearHead(kernel, float(solver.intercept_[0] - kernel @ scaler.mean_))


def by_image(examples: Examples, values: Mapping[str, int]) -> NDArray[np.int64]:
    """What ``values`` says about the film of each example."""
    return np.array([values[image] for image in examples.image], np.int64)


def probability_of_films(examples: Examples, logits: Values) -> "pd.Series[float]":
    """By the films' sha256: the probability from the mean logit of a film's views, copies left out."""
    own = examples.variant == 0
    mean = pd.Series(logits[own], index=examples.image[own]).groupby(level=0).mean()
    return pd.Series(expit(mean.to_numpy(np.float64)), index=mean.index)


def block_folds(patients: "pd.Series[str]", folds: int) -> NDArray[np.int64]:
    """Folds of neighbouring patients: each family's ids, in their order, in ``folds`` equal blocks.

    Ids are given in the order in which films are taken, so such a fold lies further from the rest
    than a random one does: a milder form of next year's films.
    """
    parts = patients.str.extract(r"^(?P<family>.*?)(?P<id>\d*)$")
    frame = parts.assign(patient=patients, number=pd.to_numeric(parts["id"]).fillna(0))
    known = frame.drop_duplicates("patient").sort_values(["family", "number", "patient"])
    place = known.groupby("family").cumcount()
    size = known.groupby("family")["patient"].transform("size")
    block = dict(zip(known["patient"], (place * folds // size).astype(np.int64), strict=True))
    return patients.map(block).to_numpy(np.int64)
