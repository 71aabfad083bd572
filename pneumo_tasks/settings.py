"""One frozen Settings object: environment and DAG params, validated once, passed explicitly."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.receiver_settings import ReceiverSettings
from pneumo_tasks.run_params import RUN_PARAMS as RUN_PARAMS
from pneumo_tasks.run_params import RUN_SECTIONS as RUN_SECTIONS
from pneumo_tasks.setting_types import Address, StrongKey, may_name_weights
from pneumo_tasks.storage.work_folders import shared_temporary_folder

WEEKLY = "0 3 * * 0"
Share = Annotated[float, Field(ge=0.0, le=1.0)]

# The groups of one match form the patient key: the number is the id, the rest its family (bacteria, virus).
PUBLIC_PATIENT_PATTERN = r"^(?:(person)(\d+)_(bacteria|virus)_|(NORMAL2-IM|IM)-(\d+)-)"


class Settings(ReceiverSettings):
    """Everything a run can be told; each field is ``PNEUMO_<FIELD>`` in the environment.

    The lower-case names are the DAG's params and what ``pneumo retrain --set`` takes.
    """

    # what to train on
    batches: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")], ...] = Field(
        (), description="Accepted batches to train on, one a line; none: all. The test set is not affected"
    )
    force: bool = Field(False, description="Train even when no new image was accepted")
    patient_pattern: str = Field(
        PUBLIC_PATIENT_PATTERN, description="Groups of a file name that form the patient key"
    )
    test_share: Share = Field(
        0.1, description="Share of new patients that an 'auto' batch gives to the test set"
    )
    folds: int = Field(5, ge=2, le=20, description="Patient folds; fold 0 is the validation split")
    split_salt: str = Field(
        "",
        repr=False,
        description="Key of the patient hash of a new register; empty: drawn, and kept with the register",
    )
    patient_site: bool = Field(
        False, description="The site is part of the patient key: only where sites number independently"
    )

    # how
    recipe: str = Field("vgg16-standard-frame", description="Name of a training recipe")
    backbone_weights: str = Field(
        "imagenet", description="A file, an s3:// URI, or 'imagenet' (Keras downloads them)"
    )
    weights_places: str = Field("", description="Files, folders, s3:// prefixes a run may name as weights")
    class_weights: str = Field(
        "none",
        pattern=r"^(none|ratio|balanced|\d+(\.\d+)?:\d+(\.\d+)?)$",
        description="none, ratio, balanced or n:p",
    )
    seed: int = Field(7, ge=0, le=2**31 - 1, description="Of everything that is drawn")
    augmentation: str | None = Field(
        None, description="none, or a kind of drawn copies of training films; empty: what the recipe says"
    )
    variants: int | None = Field(
        None, ge=0, le=16, description="Drawn copies a training film; empty: what the recipe says"
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="Of the frozen layers; auto: the fastest that the worker computes in hardware"
    )
    head_epochs: int | None = Field(None, ge=1, le=200, description="Empty: what the recipe says")
    fine_tune_epochs: int | None = Field(None, ge=1, le=100, description="Empty: what the recipe says")
    shard_images: int = Field(2048, ge=1, le=65536, description="Images in one shard of cached features")
    require_gpu: bool = Field(False, description="Refuse to train where no GPU is seen")
    gpu_executor: str | None = Field(
        None, description="Airflow executor of the GPU tasks; empty: the first one configured"
    )
    gpu_pod_template: str | None = Field(None, description="Pod template of the GPU tasks on Kubernetes")
    cache_folder: Path | None = Field(None, description="For copies; empty: below the temporary folder")
    cache_gigabytes: float = Field(20.0, gt=0.0, description="Limit of the copies of features on a disk")
    export_onnx: bool = Field(True, description="Also write the model as an ONNX file")
    demo: bool = Field(False, description="Set by `make demo` alone: allows a random backbone, loudly")

    # when to promote
    min_recall: Share = Field(0.95, description="Floor on recall on the test set")
    min_precision: Share = Field(0.90, description="Floor on precision on the test set")
    target_recall: Share = Field(0.95, description="Validation recall that the threshold keeps at least")
    threshold_policy: Literal["target_recall", "youden", "cost"] = Field(
        "target_recall", description="How the threshold is chosen on validation"
    )
    missed_case_price: float = Field(
        10.0, gt=0.0, description="Policy 'cost': how many false alarms one missed case is worth"
    )
    min_auc: Share = Field(0.90, description="Floor on the area under the ROC curve on the test set")
    min_recall_bound: Share = Field(0.0, description="Floor on the lower end of recall's interval")
    min_precision_bound: Share = Field(0.0, description="Floor on the lower end of precision's interval")
    recall_margin: Share = Field(0.02, description="Recall that may be lost to the champion, at most")
    precision_margin: Share = Field(0.03, description="Precision that may be lost to the champion, at most")
    original_recall_margin: Share = Field(
        0.03, description="Recall that all promotions together may lose to the first champion, at most"
    )
    original_precision_margin: Share = Field(0.05, description="The same for precision")
    free_step: Share = Field(
        0.0, description="Recall or specificity below an earlier version that no sideways step pays for"
    )
    sideways: str = Field(
        "", max_length=200, description="Name of a sideways step (a new site, say) that the budget pays for"
    )
    min_specificity: Share = Field(0.0, description="Floor on specificity on the test set")
    stated_prevalence: float = Field(
        0.1, gt=0.0, lt=1.0, description="Share of pneumonia where the model is meant to work"
    )
    min_unseen_recall: Share = Field(
        0.0, description="Floor on the lower end of recall on films scored before training; 0: not asked"
    )
    min_precision_at_prevalence: Share = Field(0.0, description="Floor on precision at that share")
    benefit_threshold: float = Field(
        0.1, gt=0.0, lt=1.0, description="Threshold probability that net benefit is stated for"
    )
    min_test_patients: int = Field(
        50, ge=1, description="Fewer test patients of a class decide nothing; not for one run to choose"
    )
    slice_min_images: int = Field(50, ge=1, description="Slices with fewer images of a class are not judged")
    slice_min_recall: Share = Field(0.85, description="Floor on recall in every judged slice")
    slice_min_specificity: Share = Field(0.0, description="Floor on specificity in every judged slice")
    slice_max_recall_gap: Share = Field(
        1.0, description="Recall may differ so far among judged slices; 1: off"
    )
    slice_max_specificity_gap: Share = Field(1.0, description="The same for specificity")
    max_occlusion_shift: Share = Field(0.10, description="AUC may move so far when the film's rim is masked")
    max_latency_seconds: float = Field(5.0, gt=0.0, description="For one film, by the served artefact")
    max_memory_mb: int = Field(4096, ge=1, description="Peak memory of a process that serves the artefact")
    resamples: int = Field(2000, ge=100, le=20000, description="Bootstrap resamples of the test patients")
    prevalences: str = Field(
        "5,10,25,62.5",
        pattern=r"^\d+(\.\d+)?(,\d+(\.\d+)?)*$",
        description="Percent of pneumonia for which predictive values are stated",
    )
    require_approval: bool = Field(False, description="A person has to approve before the champion changes")
    approval_hours: float = Field(48.0, gt=0.0, le=24 * 30, description="Then an unanswered approval is a no")
    dry_run: bool = Field(False, description="Train, evaluate and judge, but change nothing that lasts")
    report_images: bool = Field(True, description="Show films of misses and flips in the report")
    signing_key: SecretStr | None = Field(
        None, description="Ed25519 private key that signs versions, seals evidence: a PEM file, or the PEM"
    )
    trusted_key: str | None = Field(
        None, description="Ed25519 public keys (any of them) that versions are checked by: a PEM file, or PEM"
    )
    require_signature: bool = Field(False, description="Refuse versions that are not signed")
    anchor_file: Path | None = Field(
        None, description="Where this machine keeps the last ledger entry it saw"
    )

    # intake
    senders: str = Field(
        "", description="Prefixes of batch ids (by commas), each a sender: it replaces its own"
    )
    test_senders: str = Field(
        "", description="Such prefixes that may bring test films; empty: nobody, *: all"
    )
    min_good_share: Share = Field(0.5, description="A batch with a smaller share of good files is rejected")
    max_image_bytes: int = Field(50 * 2**20, ge=1)
    max_image_pixels: int = Field(25_000_000, ge=1)
    min_image_side: int = Field(64, ge=1)
    max_image_side: int = Field(10_000, ge=1)
    min_grey_deviation: float = Field(4.0, ge=0.0, description="Grey levels; less is a blank film")
    max_clipped_share: Share = Field(0.5, description="Share of pixels that are pure black or white")
    min_chest_likeness: float = Field(-0.25, ge=-1, le=1, description="Less: a film with inverted greys")
    max_colour: float = Field(3.0, ge=0.0, description="Mean chroma in grey levels; more is no X-ray")
    unknown_views: Literal["quarantine", "accept"] = Field(
        "quarantine", description="Films whose stated view is neither frontal nor a known other one"
    )
    near_duplicate_bits: int = Field(32, ge=-1, le=128, description="Of 256 hash bits; -1: not looked for")
    pseudonym_key: StrongKey | None = Field(None, description="Key of the patient pseudonyms of DICOM files")
    min_class_images: int = Field(1, ge=0, description="Fewer images of a label are a warning")
    min_class_patients: int = Field(1, ge=0, description="Fewer patients of a label are a warning")
    max_patient_studies: int = Field(20, ge=1, description="Of one patient id in a batch; more is a warning")
    max_class_ratio_change: float = Field(3.0, ge=1.0, description="Against the accepted data; a warning")
    max_drift_psi: float = Field(0.25, ge=0.0, description="Population stability per label; a warning")
    max_drift_ks: Share = Field(0.3, description="Kolmogorov-Smirnov per label; a warning")
    max_drift_auc: Share = Field(0.8, description="Adversarial validation per label; a warning")
    max_shortcut_auc: Share = Field(
        0.65, description="Label of training films told by their geometry alone; a warning"
    )
    max_unaligned: Share = Field(
        0.25, description="Share of films not brought to the standard frame; a warning"
    )
    stale_hours: float = Field(24.0, gt=0.0, description="An unfinished upload older than this is stale")
    data_docs: bool = Field(False, description="Also render GX Data Docs, which load assets from the web")

    # the Airflow that `pneumo batch upload --announce` tells
    airflow_url: Address | None = Field(None, description="Of its API server; empty: that of `make demo`")
    airflow_user: str | None = Field(None, description="A login that may create asset events")
    airflow_password: SecretStr | None = None

    # the watch over the live model
    watch_recall_tolerance: Share = Field(0.01, description="Recall below the test set's that is tolerated")
    watch_specificity_tolerance: Share = Field(0.03, description="The same of specificity")
    watch_false_alarms_a_year: float = Field(
        0.05, gt=0.0, le=10.0, description="False alarms of the watch in a year, at most, on average"
    )

    watch_schedule: str = Field(
        "0 6 * * *", description="Cron expression of the daily watch; 'none' leaves it to arriving outcomes"
    )
    unseen_models: int = Field(
        3, ge=0, le=20, description="Models that score new films before training: champion, newest candidates"
    )

    # the weekly run
    notifier: str | None = Field(
        None, repr=False, description="JSON: any Airflow notifier (docs/reviewing.md)"
    )
    late_hours: float = Field(12.0, ge=0.0, description="A run that takes longer is told as late; 0: never")
    schedule: str = Field(WEEKLY, description="Cron expression of the weekly run; 'none' turns it off")

    @field_validator("schedule", "watch_schedule")
    @classmethod
    def _schedule_is_cron(cls, value: str) -> str:
        """An expression that nobody can read would leave a DAG that never runs, and no error."""
        if value not in ("none", WEEKLY):
            from croniter import croniter  # Airflow reads schedules with it too

            if not croniter.is_valid(value) or len(value.split()) not in (1, 5):
                raise ValueError("it is no cron expression, such as '0 3 * * 0', and not 'none'")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.backbone_weights == "random" and not self.demo:
            raise ValueError("backbone_weights 'random' is for `make demo` alone: name a file or 'imagenet'")
        if self.min_image_side > self.max_image_side:
            raise ValueError("min_image_side exceeds max_image_side")
        return self

    @property
    def cache_root(self) -> Path:
        """Where copies of objects are kept between tasks; safe to delete at any time."""
        return self.cache_folder or shared_temporary_folder() / f"pneumo-cache-{os.getuid()}"

    @classmethod
    def load(cls, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read the environment, lay ``overrides`` (DAG params, ``--set``) over it, validate once.
        An override of None leaves the environment's value. Raises BadConfiguration naming each
        field that is wrong, its value and what is allowed.
        """
        given = {name: value for name, value in (overrides or {}).items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            lines = [
                f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']} (got {_shown(e)})"
                for e in error.errors()
            ]
            raise BadConfiguration(
                "settings refused: " + "; ".join(lines), do="Correct the PNEUMO_* variable or param."
            ) from None

    @classmethod
    def for_run(cls, params: Mapping[str, Any], connection: Mapping[str, Any] | None = None) -> Self:
        """The settings of one run: environment, then the store's connection, then the run's params.

        Raises BadConfiguration for a param that is not in RUN_PARAMS: whoever may start a run may
        not thereby redirect it to another store.
        """
        unknown = sorted(set(params) - set(RUN_PARAMS))
        if unknown:
            raise BadConfiguration(
                f"unknown params {', '.join(unknown)}", do=f"A run takes: {', '.join(RUN_PARAMS)}."
            )
        base = cls.load(connection)
        wanted = params.get("backbone_weights")
        named = (base.backbone_weights, base.weights_places)
        if wanted is not None and not may_name_weights(str(wanted), *named):
            raise BadConfiguration(
                "these backbone weights are not among those that a run may name",
                do="Name them in PNEUMO_WEIGHTS_PLACES of the workers, or in PNEUMO_BACKBONE_WEIGHTS.",
            )
        return cls.load({**(connection or {}), **params})

    @classmethod
    def unknown_environment(cls, environment: Mapping[str, str] = os.environ) -> list[str]:
        """PNEUMO_* variables that name no field: most likely typing errors."""
        known = {f"PNEUMO_{name.upper()}" for name in cls.model_fields}
        return sorted(name for name in environment if name.startswith("PNEUMO_") and name not in known)


_SECRET = ("key", "token", "password", "salt", "notifier", "endpoint", "url")


def _shown(error: Any) -> str:
    secret = any(word in str(part) for part in error["loc"] for word in _SECRET)
    return "hidden" if secret or not error["loc"] else repr(error.get("input"))


Label = Literal["NORMAL", "PNEUMONIA"]
LABELS: tuple[Label, Label] = ("NORMAL", "PNEUMONIA")
