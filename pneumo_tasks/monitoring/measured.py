"""Measured versions: what is kept of each version's answers on films that it was not trained on."""

from dataclasses import dataclass

import pandas as pd

from pneumo_tasks.errors import FinalError
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.evaluation.unseen.unseen_figures import known_today
from pneumo_tasks.evaluation.unseen.unseen_table import read_table
from pneumo_tasks.promotion.registry.champion import list_versions
from pneumo_tasks.promotion.registry.contenders import find_contenders
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.report.beside import promoted_evaluation
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.held_out_scores import read_held_out_scores

_MOST_CANDIDATES = 20


@dataclass(frozen=True)
class MeasuredVersion:
    """``films``: sha256, label, patient, batch_id of today, probability, and which ``evidence`` it is.

    ``withdrawn`` and ``corrected`` count its scores of unseen films that moved since.
    """

    version: str
    run_id: str
    made_at: str
    threshold: float
    registered: bool
    champion: bool
    evaluation: Evaluation
    films: pd.DataFrame
    withdrawn: int = 0
    corrected: int = 0


def measured_versions(
    settings: Settings, store: ObjectStore, accepted: pd.DataFrame
) -> list[MeasuredVersion]:
    """Every registered version, and the candidates that score new films, the oldest evaluation first."""
    pointer, _ = read_pointer(store)
    live = pointer.version if pointer else None
    registered = {found.version: promoted_evaluation(store, found.version) for found in list_versions(store)}
    others = find_contenders(store, min(settings.unseen_models, _MOST_CANDIDATES))
    candidates = {
        one.version: read_evaluation(store, one.run_id) for one in others if one.version not in registered
    }
    found = [
        _measured(store, evaluation, accepted, version in registered, version == live)
        for version, evaluation in {**registered, **candidates}.items()
    ]
    return sorted(found, key=lambda one: (one.made_at, one.version))


def _measured(
    store: ObjectStore, evaluation: Evaluation, accepted: pd.DataFrame, registered: bool, champion: bool
) -> MeasuredVersion:
    table = read_table(store, evaluation.sha256)
    unseen = known_today(table, accepted)
    later = known_today(read_table(store, evaluation.sha256, layout.later_scores), accepted)
    return MeasuredVersion(
        version=evaluation.version,
        run_id=evaluation.run_id,
        made_at=evaluation.evaluated_at,
        threshold=evaluation.operating_point.threshold,
        registered=registered,
        champion=champion,
        evaluation=evaluation,
        films=films_of(unseen, later, _held_out(store, evaluation.run_id), accepted),
        withdrawn=int((~table["seen"].astype(bool)).sum()) - len(unseen),
        corrected=int((unseen["said"] != unseen["label"]).sum()),
    )


def films_of(
    unseen: pd.DataFrame, later: pd.DataFrame, held_out: pd.DataFrame, accepted: pd.DataFrame
) -> pd.DataFrame:
    """One row a film with an honest score; where there are two, the one made before training counts."""
    kinds = ((unseen, "unseen"), (later, "later"), (held_out, "held out"))
    parts = [frame[["sha256", "probability"]].assign(evidence=kind) for frame, kind in kinds if len(frame)]
    today = accepted[["sha256", "label", "patient", "batch_id"]].drop_duplicates("sha256")
    if not parts:
        return today.head(0).assign(probability=0.0, evidence="")
    scored = pd.concat(parts, ignore_index=True).drop_duplicates("sha256")
    return scored.merge(today, on="sha256", how="inner")


def _held_out(store: ObjectStore, run_id: str) -> pd.DataFrame:
    """Empty where the run kept none, or what it kept cannot be read: its cells are then missing."""
    try:
        return read_held_out_scores(store, run_id)
    except (FinalError, ValueError):
        return pd.DataFrame()
