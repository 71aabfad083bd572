"""Everything that passed: the one table that datasets are assembled from."""

import io
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from pneumo_tasks import layout
from pneumo_tasks.intake.batches import list_batches, read_batch
from pneumo_tasks.intake.manifests import OPTIONAL
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.object_store import ObjectStore

COLUMNS = (
    "key", "file", "batch_id", "label", "patient", "family", "split", "sha256", "pixel_sha256",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "synthetic", "created_at",
)  # fmt: skip


def accepted_verdicts(store: ObjectStore) -> list[BatchVerdict]:
    """The verdicts of all accepted batches, oldest upload first."""
    states = [state for state in list_batches(store) if state.state == "accepted"]
    verdicts = [read_verdict(store, s.batch_id, s.digest) for s in sorted(states, key=lambda s: s.created_at)]
    return [verdict for verdict in verdicts if verdict]


def accepted_images(store: ObjectStore, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per accepted image of all accepted batches: COLUMNS, those of OPTIONAL that are given.

    ``columns`` names further facts to read. Sorted by batch and file; empty, with all of
    COLUMNS, where nothing was accepted.
    """
    verdicts = accepted_verdicts(store)
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda verdict: _rows_of(store, verdict, columns), verdicts))
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in (*COLUMNS, *columns)})
    return pd.concat(frames).sort_values(["batch_id", "file"], kind="stable").reset_index(drop=True)


def _rows_of(store: ObjectStore, verdict: BatchVerdict, columns: tuple[str, ...]) -> pd.DataFrame:
    facts = read_facts(store, verdict.batch_id, verdict.digest)
    batch, _ = read_batch(store, verdict.batch_id)
    rows = facts[facts["rule"].isna()].copy()
    rows["batch_id"], rows["split"] = batch.batch_id, batch.split
    rows["synthetic"], rows["created_at"] = batch.synthetic, batch.created_at
    given = [name for name in OPTIONAL if name in rows]
    for name in ("width", "height", "bytes"):
        rows[name] = rows[name].astype("int64")
    return rows[[*COLUMNS, *given, *columns]]


def read_facts(store: ObjectStore, batch_id: str, digest: str) -> pd.DataFrame:
    """The facts of every row of a validated batch; ``rule`` is null where the row was accepted."""
    return pd.read_parquet(io.BytesIO(store.read(layout.validation(batch_id, digest, "facts.parquet"))))
