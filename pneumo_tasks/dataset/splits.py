"""Which image goes to which split: whole patients, the same way every week.

Pure functions over the frame of accepted images (see ``intake.accepted``).
"""

import hashlib
from dataclasses import dataclass

import pandas as pd

VALIDATION_FOLD = 0


@dataclass(frozen=True)
class Check:
    """One independence check: ``value`` must not exceed ``limit``."""

    name: str
    value: int
    limit: int = 0

    @property
    def verdict(self) -> str:
        return "pass" if self.value <= self.limit else "fail"


def patient_draw(patient: str, salt: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the patient, the salt and the purpose, and on nothing else."""
    digest = hashlib.blake2b(f"{purpose}\0{patient}".encode(), key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def drop_duplicates(accepted: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep one image of each set of equal pixels, and none where the labels disagree.

    Returns (kept, excluded); excluded has an additional column ``reason``. The oldest batch wins,
    then the batch id, then the file name, so the result does not depend on the order of the rows.
    """
    ordered = accepted.sort_values(["created_at", "batch_id", "file"], kind="stable")
    pixels = ordered.groupby("pixel_digest")
    conflicting = pixels["label"].transform("nunique") > 1
    repeated = ~conflicting & ordered.duplicated("pixel_digest")
    first_key = pixels["key"].transform("first")
    reason = ("same pixels as " + first_key).where(repeated, "same pixels under two labels")
    excluded = ordered.assign(reason=reason)[conflicting | repeated]
    return ordered[~conflicting & ~repeated], excluded


def assign_splits(
    kept: pd.DataFrame, *, test_share: float, folds: int, salt: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every patient one split and one fold; returns (assigned, excluded).

    The split a patient came with first stays; images that come later for another split are
    excluded with a reason. A patient of an ``auto`` batch goes to the test set by a keyed hash.
    Fold 0 of the training patients is the validation split; folds are drawn by the same hash, so
    that growing data never moves a patient.
    """
    ordered = kept.sort_values(["created_at", "batch_id", "file"], kind="stable")
    first_wish = ordered.groupby("patient")["split"].first()
    drawn = pd.Series(
        [
            "test" if patient_draw(patient, salt, "test") < test_share else "train"
            for patient in first_wish.index
        ],
        index=first_wish.index,
        dtype=object,
    )
    home = first_wish.where(first_wish != "auto", drawn)
    patient_home = ordered["patient"].map(home)
    misplaced = (ordered["split"] != "auto") & (ordered["split"] != patient_home)
    excluded = ordered.assign(reason="patient is already in the split " + patient_home.astype(str))[misplaced]
    assigned = ordered[~misplaced].copy()
    assigned["split"] = patient_home[~misplaced]
    fold = {patient: int(patient_draw(patient, salt, "fold") * folds) for patient in home.index}
    assigned["fold"] = assigned["patient"].map(fold).astype("int64").where(assigned["split"] == "train", -1)
    assigned.loc[(assigned["split"] == "train") & (assigned["fold"] == VALIDATION_FOLD), "split"] = (
        "validation"
    )
    return assigned, excluded


def independence_checks(assigned: pd.DataFrame) -> list[Check]:
    """Count what two splits share: patients (family and id), file bytes, pixels. All must be 0."""
    return [
        Check(f"{name} in two splits", int((assigned.groupby(column)["split"].nunique() > 1).sum()))
        for name, column in (("patients", "patient"), ("files", "sha256"), ("pixels", "pixel_digest"))
    ] + [Check("patients in two folds", int((assigned.groupby("patient")["fold"].nunique() > 1).sum()))]
