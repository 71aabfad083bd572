"""Which image goes to which split: whole patients, the same way every week.

Pure functions over the frame of accepted images (see ``intake.accepted``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pneumo_tasks.intake.records.register import Home, Wish

VALIDATION_FOLD = 0


@dataclass(frozen=True)
class SplitCheck:
    """One independence check: ``value`` must not exceed ``limit``."""

    name: str
    value: int
    limit: int = 0

    @property
    def verdict(self) -> str:
        return "pass" if self.value <= self.limit else "fail"


def drop_duplicates(accepted: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep one image of each set of equal pixels, and none where the labels disagree.

    Returns (kept, excluded); excluded has an additional column ``reason``. The batch accepted first wins,
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


def wishes_of(kept: pd.DataFrame) -> list[Wish]:
    """Each patient with the split that its batch asked for, in the order of acceptance.

    That order is ours: the moment a batch was accepted, never the clock of its sender.
    """
    ordered = kept.sort_values(["created_at", "batch_id", "file"], kind="stable")
    return list(zip(ordered["patient"], ordered["split"], strict=True))


def assign_splits(kept: pd.DataFrame, homes: Mapping[str, Home]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every image the split and fold of its patient's home; returns (assigned, excluded).

    ``homes`` has every patient of ``kept``. Images that were sent for another split than the home are
    excluded with a reason. Fold 0 of the training patients is the validation split.
    """
    ordered = kept.sort_values(["created_at", "batch_id", "file"], kind="stable")
    home = ordered["patient"].map({patient: found.split for patient, found in homes.items()})
    misplaced = (ordered["split"] != "auto") & (ordered["split"] != home)
    excluded = ordered.assign(reason="patient is already in the split " + home.astype(str))[misplaced]
    assigned = ordered[~misplaced].copy()
    assigned["split"] = home[~misplaced]
    fold = assigned["patient"].map({patient: found.fold for patient, found in homes.items()})
    assigned["fold"] = fold.astype("int64").where(assigned["split"] == "train", -1)
    validation = (assigned["split"] == "train") & (assigned["fold"] == VALIDATION_FOLD)
    assigned.loc[validation, "split"] = "validation"
    return assigned, excluded


def independence_checks(assigned: pd.DataFrame) -> list[SplitCheck]:
    """Count what two splits share: patients (family and id), file bytes, pixels. All must be 0."""
    return [
        SplitCheck(f"{name} in two splits", int((assigned.groupby(column)["split"].nunique() > 1).sum()))
        for name, column in (("patients", "patient"), ("files", "sha256"), ("pixels", "pixel_digest"))
    ] + [SplitCheck("patients in two folds", int((assigned.groupby("patient")["fold"].nunique() > 1).sum()))]
