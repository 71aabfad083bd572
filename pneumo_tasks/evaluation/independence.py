"""Which test films a model was trained on, found from the rows that it learned from, not from a promise.

The splits keep patients apart; a withdrawn batch that is sent again for another split, or a bucket of an
earlier release, may still bring a film to the test set that an older model has learned from.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import FinalError
from pneumo_tasks.evaluation.figures.clustering import patients_of_each_class
from pneumo_tasks.intake.records.accepted import keys_of_today
from pneumo_tasks.storage.object_store import ObjectStore

# A test film is seen if its patient, its bytes or its pixels are among the training rows.
_SAME = ("patient", "sha256", "pixel_digest")


class Overlap(BaseModel):
    """What a test set shares with the training rows of one model.

    ``films`` counts the test films that the model has seen, itself or another film of the patient; None
    where the training rows cannot be read, and ``fault`` says why. ``unseen`` counts the patients of each
    class that remain.
    """

    model_config = ConfigDict(frozen=True)

    snapshot_id: str
    films: int | None
    unseen: dict[str, int]
    fault: str = ""


def seen_films(test: pd.DataFrame, training: pd.DataFrame, site_in_key: bool = False) -> NDArray[np.bool_]:
    """One flag for each row of ``test``: whether ``training`` has its patient, bytes or pixels.

    Patients are compared in the canonical form of today, whatever release wrote the rows.
    """
    seen = np.zeros(len(test), bool)
    for column in _SAME:
        if column not in test or column not in training:
            continue  # pixel digests of an earlier release were another function
        ours, theirs = test[column], training[column]
        if column == "patient":
            ours, theirs = keys_of_today(test, site_in_key), keys_of_today(training, site_in_key)
        seen |= ours.isin(set(theirs.dropna())).to_numpy(bool)
    return seen


def find_overlap(
    store: ObjectStore,
    snapshot_id: str,
    test: pd.DataFrame,
    site_in_key: bool = False,
    summary_sha256: str = "",
) -> tuple[NDArray[np.bool_], Overlap]:
    """The flags of ``seen_films`` for the model that was trained on ``snapshot_id``, and their summary.

    ``summary_sha256`` is the summary's that names those rows, where it is known from elsewhere.
    Where the training rows are missing or damaged no film is flagged and ``films`` is None: whoever
    judges has to refuse. A store that does not answer raises StorageUnavailable.
    """
    try:
        training = training_rows(store, snapshot_id, summary_sha256)
        seen = seen_films(test, training, site_in_key)
    except (FinalError, ValueError, KeyError) as error:
        nobody = np.zeros(len(test), bool)
        fault = f"the training rows of {snapshot_id} cannot be read: {error}"
        return nobody, Overlap(snapshot_id=snapshot_id, films=None, unseen={}, fault=fault)
    unseen = patients_of_each_class(test[~seen])
    return seen, Overlap(snapshot_id=snapshot_id, films=int(seen.sum()), unseen=unseen)
