"""Beside the locked test set: what the same models said of films before anybody trained on them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.unseen.unseen_figures import UnseenFigures, unseen_figures
from pneumo_tasks.evaluation.unseen.unseen_table import read_table
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.promotion.registry.champion import read_recorded_manifest, registered_evaluation
from pneumo_tasks.storage.object_store import ObjectStore

Figure = Literal["recall", "specificity"]
FIGURES: tuple[Figure, Figure] = ("recall", "specificity")


class BesideTestSet(BaseModel):
    """One version: its figures on the locked test set, and on films scored before training."""

    model_config = ConfigDict(frozen=True)

    role: Literal["candidate", "champion", "original"]
    version: str
    locked: dict[Figure, float | None]
    locked_intervals: dict[Figure, Interval | None]
    unseen: UnseenFigures


def beside_test_set(
    store: ObjectStore, evaluation: Evaluation, site_in_key: bool = False
) -> list[BesideTestSet]:
    """The candidate, the champion and the original of an evaluation, as far as they met unseen films."""
    asked: list[tuple[Literal["candidate", "champion", "original"], str, str]] = []
    if evaluation.champion:
        asked.append(("champion", evaluation.champion.version, evaluation.champion.sha256))
    if evaluation.original:
        asked.append(("original", evaluation.original.version, evaluation.original.sha256))
    asked.append(("candidate", evaluation.version, evaluation.sha256))
    tables = [(role, version, read_table(store, digest)) for role, version, digest in asked]
    known = [(role, version, table) for role, version, table in tables if len(table)]
    if not known:
        return []
    accepted, found = accepted_images(store, site_in_key), []
    for role, version, table in known:
        own = evaluation if role == "candidate" else promoted_evaluation(store, version)
        found.append(
            BesideTestSet(
                role=role,
                version=version,
                locked={name: getattr(own.test, name) for name in FIGURES},
                locked_intervals={name: own.intervals.get(name) for name in FIGURES},
                unseen=unseen_figures(table, accepted, own.operating_point.threshold),
            )
        )
    return found


def promoted_evaluation(store: ObjectStore, version: str) -> Evaluation:
    """The evaluation that a version was registered with, its digest checked."""
    return registered_evaluation(store, read_recorded_manifest(store, version))
