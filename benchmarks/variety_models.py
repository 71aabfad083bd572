"""Heads and block5 fitted without some films, from kept features: what the variants are."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from variety_block5 import Block5, Schedule
from variety_features import Films

from pneumo_tasks.evaluation.figures.metrics import Scores
from pneumo_tasks.settings import LABELS
from pneumo_tasks.training.fitting.cross_fitting import fit_head

log = logging.getLogger(__name__)

Pairs = list[tuple[str, str]]  # (way, view) of the examples that are trained on
Asked = Callable[[str, NDArray[np.bool_]], Scores]  # by an alteration, the logits of some films

Fitted = Callable[["Bench", NDArray[np.bool_]], Asked]  # fits a variant without some films


@dataclass(frozen=True)
class Head:
    """How the linear head is solved: scikit-learn's C, the first feature that it reads (256: without block3,
    768: block5 alone), and how strongly it is kept from what moves between a film and its copies.
    """

    penalty: float = 0.01
    first: int = 0
    calm: float = 0.0


class Bench:
    """Fits a variant without the films ``held``, and remembers it."""

    def __init__(self, films: Films, seed: int, variants: Mapping[str, Fitted]) -> None:
        self.films, self.seed, self.variants = films, seed, variants
        self.ill = (films.table["label"] == LABELS[1]).to_numpy(bool)
        self._known: dict[tuple[str, str], Asked] = {}

    def frozen(self, held: NDArray[np.bool_], train: Pairs, serve: Pairs, how: Head) -> Asked:
        fitted = ~held & self.films.taught
        given = slice(how.first, None)
        features = np.concatenate([self.films.of(*pair).pooled[fitted, given] for pair in train])
        labels = np.tile(self.ill[fitted], len(train)).astype(np.float32)
        weights = np.ones(len(labels), np.float32)
        if how.calm:
            calm = self._calm(features, fitted, train, how)
            solver = LogisticRegression(C=how.penalty, solver="newton-cholesky", tol=1e-8, max_iter=100)
            solver.fit((features - features.mean(0)) @ calm, labels)
            solved = calm @ solver.coef_[0]
            bias = float(solver.intercept_[0] - features.mean(0) @ solved)
        else:
            head = fit_head(features, labels, weights, how.penalty)
            solved, bias = head.kernel, head.bias
        kernel = np.concatenate([np.zeros(how.first), solved])
        return lambda way, asked: np.mean(
            [self.films.of(way, view).pooled[asked] @ kernel + bias for _, view in serve], 0
        )

    def _calm(
        self, features: NDArray[np.float32], fitted: NDArray[np.bool_], train: Pairs, how: Head
    ) -> NDArray[np.float64]:
        """A map of the features that shrinks what moves between a film and its drawn copies."""
        deviation = features.std(0) + 1e-6
        moved = [
            (self.films.of(way, view).pooled - self.films.of("own", view).pooled)[fitted, how.first :]
            for way, view in train
            if way != "own"
        ]
        standard = np.concatenate(moved).astype(np.float64) / deviation
        covariance = standard.T @ standard / len(standard)
        values, axes = np.linalg.eigh(covariance)
        answer: NDArray[np.float64] = (axes / np.sqrt(1 + how.calm * values)) @ axes.T / deviation[:, None]
        return answer

    def block5(self, held: NDArray[np.bool_], train: Pairs, serve: Pairs, schedule: Schedule) -> Asked:
        model = Block5(self.films.parts, self.films.precision, self.seed)
        model.fit(
            [self.films.of(*pair).block4 for pair in train], self.ill, ~held & self.films.taught, schedule
        )
        return lambda way, asked: np.mean(
            [model.logits(self.films.of(way, view).block4[np.flatnonzero(asked)]) for _, view in serve], 0
        )

    def probability(self, name: str, held: NDArray[np.bool_], way: str) -> Scores:
        """What the variant says of the films ``held``; an average is of its parts' probabilities."""
        if " + " in name:
            return np.mean([self.probability(part, held, way) for part in name.split(" + ")], 0)
        key = (name, hashlib.sha256(held.tobytes()).hexdigest())
        if key not in self._known:
            started = time.monotonic()
            self._known[key] = self.variants[name](self, held)
            log.info("%s: fitted without %d films, %.0f s", name, held.sum(), time.monotonic() - started)
        return expit(self._known[key](way, held))
