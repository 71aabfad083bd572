"""Later films: what a version says of batches that it never learned from and was not asked about in time.

They say as much of the version as unseen films do, for it never met these patients; but others were trained
on them meanwhile, so they are kept apart and enter no figure of the coming weeks.
"""

import logging
from collections.abc import Sequence

import pandas as pd

from pneumo_tasks import journal
from pneumo_tasks.evaluation.independence import find_overlap
from pneumo_tasks.evaluation.scoring import StoredModel, read_images
from pneumo_tasks.evaluation.unseen.new_films import Contender
from pneumo_tasks.evaluation.unseen.unseen_table import COLUMNS, scored_batches, write_part
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.model.artefact import score_images

log = logging.getLogger(__name__)


def score_later(settings: Settings, store: ObjectStore, contenders: Sequence[Contender]) -> dict[str, int]:
    """Ask each version, one pass a film, about the accepted training batches that it has no scores of.

    Never about a test patient, nor about a film whose patient, bytes or pixels it was trained on. Returns
    the films that each was asked about; a batch that was asked about once is not asked about again.
    """
    register = read_register(store)
    if register is None:
        return {}
    accepted = accepted_images(store, settings.patient_site)
    homes = accepted["patient"].map({patient: home.split for patient, home in register.homes.items()})
    training = accepted[homes == "train"]
    return {contender.version: _asked(settings, store, contender, training) for contender in contenders}


def _asked(settings: Settings, store: ObjectStore, contender: Contender, training: pd.DataFrame) -> int:
    done = scored_batches(store, contender.sha256) | scored_batches(
        store, contender.sha256, layout.later_scores
    )
    todo = training[~training["batch_id"].isin(done)].reset_index(drop=True)
    own, overlap = find_overlap(store, contender.candidate.snapshot_id, todo, settings.patient_site)
    todo = todo[~own]
    if todo.empty or overlap.films is None:  # nothing new to it, or nobody can tell
        return 0
    with StoredModel(store, contender.key, contender.sha256) as stored:
        probability = score_images(stored.load(), read_images(settings, store, todo)).astype(float)
    table = todo.assign(
        probability=probability,
        seen=False,
        source="films",
        label_at=todo["created_at"].str.partition(" ")[2],
        site=todo.get("site"),
        scored_at=journal.now(),
    )[list(COLUMNS)]
    for batch_id, part in table.groupby("batch_id", sort=True):
        write_part(store, contender.sha256, str(batch_id), part, layout.later_scores)
    log.info("%s: %d later films scored", contender.version, len(table))
    return len(table)
