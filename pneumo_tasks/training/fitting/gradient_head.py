"""A head that is trained by gradients, epoch by epoch, on the training split alone."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo_tasks.training.fitting.epochs import fit_stage
from pneumo_tasks.training.fitting.head_strategy import Trained, Tuned, validation_table
from pneumo_tasks.training.fitting.weights import load_exported
from pneumo_tasks.training.fitting.workplace import Workplace
from pneumo_tasks.training.recipe import Exports, Stage


@dataclass(frozen=True)
class GradientHead:
    """Validation films are held out of everything, so that all models of a run may be judged on them."""

    stage: Stage

    def train(self, place: Workplace) -> Trained:
        fit = fit_stage(place, "head", self.stage)
        best = fit.epochs[fit.best_epoch]
        return Trained(fit.history(), len(fit.epochs) - 1, fit.best_epoch, best["val_auc"])

    def fine_tune(self, place: Workplace, stage: Stage) -> Tuned:
        """Its epoch 0 is the head itself, so fine-tuning never makes it worse on validation films."""
        return Tuned(fit_stage(place, "fine_tune", stage), "fine_tuned", {})

    def load_held_out(self, place: Workplace) -> None:
        load_exported(place)

    def held_out_scores(
        self, place: Workplace, exports: Exports, probabilities: NDArray[np.float32]
    ) -> pd.DataFrame:
        del exports  # both were held out of validation
        return validation_table(place, probabilities)
