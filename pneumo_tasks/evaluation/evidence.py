"""The evidence a decision is made from: evaluation.json and everything in it."""

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.snapshots import IndependenceCheck
from pneumo_tasks.evaluation.comparison import Comparison, Difference
from pneumo_tasks.evaluation.intervals import Interval
from pneumo_tasks.evaluation.looks import Exposure
from pneumo_tasks.evaluation.metrics import Metrics
from pneumo_tasks.evaluation.operating_point import OperatingPoint
from pneumo_tasks.evaluation.probes import Occlusion
from pneumo_tasks.evaluation.serving import ServingCheck
from pneumo_tasks.evaluation.shift import ShiftFact
from pneumo_tasks.evaluation.slices import Slice


class PredictiveValues(BaseModel):
    """What an alarm, and its absence, mean where a share ``prevalence`` of the children is ill."""

    model_config = ConfigDict(frozen=True)

    prevalence: float
    positive: float | None
    negative: float | None


class CalibrationBin(BaseModel):
    model_config = ConfigDict(frozen=True)

    images: int
    predicted: float
    observed: float


class Calibration(BaseModel):
    """Test calibration before and after the temperature that validation chose."""

    model_config = ConfigDict(frozen=True)

    temperature: float
    brier: float
    error: float
    bins: list[CalibrationBin]


class Evaluation(BaseModel):
    """Measured on the locked test set with the exported artefact; written once a run."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    version: str
    sha256: str
    recipe: str
    snapshot_id: str
    test_set_id: str
    patients: int
    # Empty in evaluations that were made before patients of each class were counted.
    test_patients: dict[str, int] = {}
    operating_point: OperatingPoint
    test: Metrics
    intervals: dict[str, Interval | None]
    trivial: Metrics
    trivial_differences: dict[str, Difference | None] = {}
    calibration: Calibration | None
    predictive_values: list[PredictiveValues]
    slices: list[Slice]
    champion: Comparison | None
    original: Comparison | None
    serving: ServingCheck
    occlusion: Occlusion
    independence: list[IndependenceCheck]
    shift: list[ShiftFact] = []
    looks: int
    exposure: Exposure | None = None  # None in evaluations that were made before looks were counted a film
    resamples: int
    seed: int
    synthetic: bool
    random_backbone: bool
    evaluated_at: str
