"""What a way to train a head has to answer; there are two, and a recipe's head says which (strategies.py)."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.training.fitting.epochs import Fit
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.recipe import Exports, Stage


@dataclass(frozen=True)
class Trained:
    """What training the head did; the network holds the head that is exported where nothing else is."""

    history: dict[str, Any]
    epochs: int
    best_epoch: int
    val_auc: float


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning did, and what is worth exporting; the network holds what was tuned."""

    fit: Fit
    exports: Exports
    facts: dict[str, Any]


class HeadStrategy(Protocol):
    """One way to train a head. What it trains from stands in the recipe: its cuts and ``trains_on``."""

    def train(self, place: Workplace) -> Trained:
        """Train the head from cached features."""

    def fine_tune(self, place: Workplace, stage: Stage) -> Tuned:
        """Train the recipe's second stage, from the head of the run that ``place`` holds."""

    def load_held_out(self, place: Workplace) -> None:
        """Put a model into the network that never saw the validation split."""

    def held_out_scores(
        self, place: Workplace, exports: Exports, probabilities: NDArray[np.float32]
    ) -> pd.DataFrame:
        """What threshold and calibration are chosen on: no score is of a film that its model was trained on.

        ``probabilities`` are what the exported model says of the validation films. Columns sha256, patient,
        label, fold, probability.
        """


def validation_table(place: Workplace, probabilities: NDArray[np.float32]) -> pd.DataFrame:
    """The validation films with what a model that was not trained on them says of each."""
    rows = place.rows.loc[place.rows["split"] == "validation", ["sha256", "patient", "label", "fold"]]
    return rows.assign(probability=probabilities)
