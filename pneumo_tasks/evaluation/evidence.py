"""The evidence a decision is made from: evaluation.json and everything in it."""

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.summary import IndependenceCheck
from pneumo_tasks.evaluation.comparison import Comparison, Difference
from pneumo_tasks.evaluation.figures.gaps import Gap
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.metrics import Metrics
from pneumo_tasks.evaluation.figures.operating_point import OperatingPoint
from pneumo_tasks.evaluation.figures.slices import Slice
from pneumo_tasks.evaluation.independence import Overlap
from pneumo_tasks.evaluation.looks import Exposure
from pneumo_tasks.evaluation.probes.occlusion import Occlusion
from pneumo_tasks.evaluation.probes.shift import ShiftFact
from pneumo_tasks.evaluation.revisions import Revision
from pneumo_tasks.evaluation.serving import ServingCheck


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
    """Measured on the locked test set with the exported artefact; written once a run.

    ``candidate`` is the document that describes it, ``scores_sha256`` the table of every film's score, and
    ``snapshot_sha256`` the summary that names the tables it was measured on. Empty in earlier releases.
    """

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
    gaps: list[Gap] = []
    champion: Comparison | None
    original: Comparison | None
    rivals: list[Comparison] = []  # the best versions so far that are neither champion nor original
    serving: ServingCheck
    occlusion: Occlusion
    independence: list[IndependenceCheck]
    overlap: Overlap | None = None  # None in evaluations that were made before it was looked for
    shift: list[ShiftFact] = []
    looks: int
    exposure: Exposure | None = None  # None in evaluations that were made before looks were counted a film
    resamples: int
    seed: int
    synthetic: bool
    random_backbone: bool
    evaluated_at: str
    candidate: Revision | None = None
    scores_sha256: str = ""
    snapshot_sha256: str = ""


class Evaluated(BaseModel):
    """The headline figures on the locked test set, and the document that holds all others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    sha256: str
    version: str
    images: int
    recall: float | None
    precision: float | None
    auc: float | None
    champion: str | None

    @property
    def document(self) -> Revision:
        return Revision(key=self.key, sha256=self.sha256)
