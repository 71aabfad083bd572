"""The scores that threshold and calibration are chosen on: of films that the scoring model never saw."""

import io

import pandas as pd

from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

HELD_OUT_SCORES = "held_out_scores.parquet"
FORMER_NAME = "fine_tune/validation_scores.parquet"  # of releases in which fine-tuning exported the candidate


def write_held_out_scores(store: ObjectStore, run_id: str, table: pd.DataFrame) -> None:
    store.put(layout.run(run_id, HELD_OUT_SCORES), table.to_parquet(index=False))


def read_held_out_scores(store: ObjectStore, run_id: str) -> pd.DataFrame:
    """sha256, patient, label, fold and ``probability`` of each film; a run of any release is read."""
    try:
        body = store.read(layout.run(run_id, HELD_OUT_SCORES))
    except ObjectMissing:
        body = store.read(layout.run(run_id, FORMER_NAME))
    return pd.read_parquet(io.BytesIO(body))
