"""Whether a probability means what it says, and what a verdict means where fewer children are ill."""

import numpy as np
from numpy.typing import NDArray

from pneumo_tasks.evaluation.evidence import Calibration, CalibrationBin, PredictiveValues
from pneumo_tasks.evaluation.figures.metrics import (
    Labels,
    Metrics,
    Scores,
    calibration_bin,
    calibration_error,
    predictive_values,
)
from pneumo_tasks.evaluation.figures.operating_point import calibrated
from pneumo_tasks.settings import Settings


def measure_calibration(positive: Labels, probability: Scores, temperature: float) -> Calibration | None:
    """Test calibration after the temperature; None where a score is not finite."""
    if not np.isfinite(probability).all():
        return None
    adjusted = calibrated(probability, temperature)
    places: NDArray[np.intp] = calibration_bin(adjusted)
    return Calibration(
        temperature=temperature,
        brier=float(np.mean((adjusted - positive) ** 2)),
        error=calibration_error(positive, adjusted),
        bins=[
            CalibrationBin(
                images=int((places == place).sum()),
                predicted=float(adjusted[places == place].mean()),
                observed=float(positive[places == place].mean()),
            )
            for place in np.unique(places)
        ],
    )


def stated_values(settings: Settings, test: Metrics) -> list[PredictiveValues]:
    """The predictive values at each prevalence of the settings; empty where a rate is undefined."""
    if test.recall is None or test.specificity is None:
        return []
    stated = []
    for percent in map(float, settings.prevalences.split(",")):
        ppv, npv = predictive_values(test.recall, test.specificity, percent / 100)
        stated.append(PredictiveValues(prevalence=percent / 100, positive=ppv, negative=npv))
    return stated
