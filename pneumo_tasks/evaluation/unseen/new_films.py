"""Test, then train: what models say of new films before anything of these may be trained on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.dataset.seen import read_seen
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import FinalError
from pneumo_tasks.evaluation.independence import find_overlap
from pneumo_tasks.evaluation.kept_features import score_kept_features
from pneumo_tasks.evaluation.scoring import StoredModel, read_images
from pneumo_tasks.evaluation.unseen.unseen_table import COLUMNS, scored_batches, write_part
from pneumo_tasks.intake.records.accepted import keys_of_today
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import Candidate
from pneumo_tasks.training.model.artefact import score_images

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """A model whose file is kept at ``key``; ``live``: the champion, whose fault ends the run."""

    version: str
    key: str
    threshold: float
    run_id: str
    candidate: Candidate
    live: bool = False

    @property
    def sha256(self) -> str:
        return self.candidate.sha256


class AskedModel(BaseModel):
    """What one model was asked: films that it answered, those left out, and where the answers are from."""

    model_config = ConfigDict(frozen=True)

    version: str
    films: int
    left_out: int
    source: str


class ScoredUnseen(BaseModel):
    """``films`` of ``patients`` whom no training has seen; ``left_out``: other films of the same batches."""

    model_config = ConfigDict(frozen=True)

    films: int
    patients: int
    left_out: int
    models: list[AskedModel]
    why: str = ""


def score_unseen(
    settings: Settings, store: ObjectStore, snapshot_id: str, contenders: Sequence[Contender]
) -> ScoredUnseen:
    """Ask every contender about the films of patients whom no training snapshot has seen.

    Adds one part a model and a batch to the tables of unseen films. A batch that a model was asked about
    is not asked about again. Without a contender it reads nothing.
    """
    if not contenders:
        return _nothing("there is no champion yet")
    seen = read_seen(store)
    if not seen.parts:
        return _nothing("nobody has kept yet whom training has seen: the record begins with this run")
    rows = _described(training_rows(store, snapshot_id), snapshot_id, settings.patient_site)
    rows["seen"] = rows["patient"].isin(seen.patients)
    rows = rows[rows["batch_id"].isin(set(rows.loc[~rows["seen"], "batch_id"]))].reset_index(drop=True)
    if rows.empty:
        return _nothing("every patient of these films was trained on before")
    asked = [_asked(settings, store, contender, rows) for contender in contenders]
    fresh = rows[~rows["seen"]]
    return ScoredUnseen(
        films=len(fresh),
        patients=int(fresh["patient"].nunique()),
        left_out=len(rows) - len(fresh),
        models=[model for model in asked if model is not None],
    )


def _nothing(why: str) -> ScoredUnseen:
    log.info("no film is scored before training: %s", why)
    return ScoredUnseen(films=0, patients=0, left_out=0, models=[], why=why)


def _described(rows: pd.DataFrame, snapshot_id: str, site_in_key: bool) -> pd.DataFrame:
    """Training rows as the table has them; ``label_at`` is when their batch was accepted, by our clock."""
    accepted = rows["created_at"].str.partition(" ")[2] if "created_at" in rows else journal.now()
    site = rows.get("site")
    return rows.assign(
        patient=keys_of_today(rows, site_in_key), label_at=accepted, site=site, snapshot=snapshot_id
    )


def _asked(
    settings: Settings, store: ObjectStore, contender: Contender, rows: pd.DataFrame
) -> AskedModel | None:
    """None where the model was asked before, or is a candidate that cannot be asked any more."""
    todo = rows[~rows["batch_id"].isin(scored_batches(store, contender.sha256))].reset_index(drop=True)
    if todo.empty:
        return None
    own, overlap = find_overlap(store, contender.candidate.snapshot_id, todo, settings.patient_site)
    if overlap.films is None:  # nobody can tell what the model has seen
        own = np.ones(len(todo), bool)
    todo["seen"] = todo["seen"].to_numpy(bool) | own
    try:
        probability, source = _answers(settings, store, contender, todo[~todo["seen"]])
    except FinalError as error:
        if contender.live:
            raise
        log.warning("candidate %s cannot be asked: %s", contender.version, error)
        return None
    todo["probability"] = np.nan
    todo.loc[~todo["seen"], "probability"] = probability
    todo = todo.assign(source=source, scored_at=journal.now())[list(COLUMNS)]
    for batch_id, part in todo.groupby("batch_id", sort=True):
        if part["seen"].all():
            continue  # what the model itself was trained on says nothing of it
        write_part(store, contender.sha256, str(batch_id), part)
    left_out = int(todo["seen"].sum())
    log.info("%s: %d unseen films scored (%s), %d left out", contender.version, len(todo) - left_out, source,
             left_out)  # fmt: skip
    return AskedModel(version=contender.version, films=len(todo) - left_out, left_out=left_out, source=source)


def _answers(
    settings: Settings, store: ObjectStore, contender: Contender, rows: pd.DataFrame
) -> tuple[NDArray[np.float64], str]:
    """The probability of each film, from kept features where the network allows it, else a pass a film."""
    if rows.empty:
        return np.zeros(0), "none"
    with StoredModel(store, contender.key, contender.sha256) as stored:
        kept = score_kept_features(settings, store, contender.candidate, stored.load(), rows)
        if kept is not None:
            return kept, "features"
        return score_images(stored.load(), read_images(settings, store, rows)).astype(np.float64), "films"
