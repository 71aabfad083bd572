"""Everything that passed: the one table that datasets are assembled from."""

import io
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow.parquet as pq

from pneumo_tasks.intake.batches import list_batches, read_batch
from pneumo_tasks.intake.manifests import OPTIONAL
from pneumo_tasks.intake.verdicts import BatchVerdict, read_verdict
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

COLUMNS = (
    "key", "file", "batch_id", "label", "patient", "family", "split", "sha256", "pixel_digest",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "synthetic", "created_at",
)  # fmt: skip

KNOWN = (
    "file", "label", "patient", "sha256", "pixel_digest", "phash",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "clipped_share",
)  # fmt: skip
_FORMERLY = {"pixel_digest": "pixel_sha256"}  # facts written before the digest was BLAKE3
DISPUTES = ("one-label", "one-split")


def accepted_verdicts(store: ObjectStore) -> list[BatchVerdict]:
    """The verdicts of all accepted batches, oldest upload first."""
    states = [state for state in list_batches(store) if state.state == "accepted"]
    verdicts = [read_verdict(store, s.batch_id, s.digest) for s in sorted(states, key=lambda s: s.created_at)]
    return [verdict for verdict in verdicts if verdict]


def accepted_images(store: ObjectStore) -> pd.DataFrame:
    """One row per accepted image of all accepted batches: COLUMNS, those of OPTIONAL that are given.

    Sorted by batch and file; empty, with all of COLUMNS, where nothing was accepted.
    """
    verdicts = accepted_verdicts(store)
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda verdict: _rows_of(store, verdict), verdicts))
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    return pd.concat(frames).sort_values(["batch_id", "file"], kind="stable").reset_index(drop=True)


def _rows_of(store: ObjectStore, verdict: BatchVerdict) -> pd.DataFrame:
    facts = read_facts(store, verdict.batch_id, verdict.digest)
    batch, _ = read_batch(store, verdict.batch_id)
    rows = facts[facts["rule"].isna()].copy()
    rows["batch_id"], rows["split"] = batch.batch_id, batch.split
    rows["synthetic"], rows["created_at"] = batch.synthetic, batch.created_at
    given = [name for name in OPTIONAL if name in rows]
    for name in ("width", "height", "bytes"):
        rows[name] = rows[name].astype("int64")
    return rows[[*COLUMNS, *given]]


def known_films(
    store: ObjectStore, except_batches: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a new batch is compared with: (accepted, disputed) films of the accepted batches.

    ``accepted`` has KNOWN and ``batch_id, digest, split``, but no thumbnails: a million films are
    then some hundred megabytes. ``disputed`` are films in quarantine for a conflict with others,
    which a copy must not get around: ``pixel_digest``, ``rule`` and ``place``.
    """
    verdicts = [verdict for verdict in accepted_verdicts(store) if verdict.batch_id not in except_batches]
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda verdict: _known_of(store, verdict), verdicts))
    columns = [*KNOWN, "rule", "batch_id", "digest", "split"]
    films = (
        pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    )
    disputed = films[films["rule"].isin(DISPUTES)]
    place = disputed["batch_id"] + "/" + disputed["file"]
    accepted = films[films["rule"].isna()].drop(columns="rule").reset_index(drop=True)
    return accepted, disputed.assign(place=place)[["pixel_digest", "rule", "place"]]


def read_thumbnails(store: ObjectStore, films: pd.DataFrame) -> list[bytes]:
    """The thumbnails of some rows of ``known_films``, in their order; each batch is read once."""
    found: dict[tuple[str, str], bytes] = {}
    for (batch_id, digest), rows in films.groupby(["batch_id", "digest"]):
        facts = _columns_of(store, str(batch_id), str(digest), ["file", "thumbnail"])
        facts = facts[facts["file"].isin(rows["file"]) & facts["thumbnail"].notna()]
        found |= {
            (str(batch_id), file): raw for file, raw in zip(facts["file"], facts["thumbnail"], strict=True)
        }
    return [found[key] for key in zip(films["batch_id"], films["file"], strict=True)]


def _known_of(store: ObjectStore, verdict: BatchVerdict) -> pd.DataFrame:
    films = _columns_of(store, verdict.batch_id, verdict.digest, [*KNOWN, "rule"])
    return films.assign(batch_id=verdict.batch_id, digest=verdict.digest, split=verdict.split)


def _columns_of(store: ObjectStore, batch_id: str, digest: str, columns: list[str]) -> pd.DataFrame:
    """Some columns of the facts; null where the batch was judged before they existed."""
    body = io.BytesIO(store.read(layout.validation(batch_id, digest, "facts.parquet")))
    there = set(pq.read_schema(body).names)
    asked = {_FORMERLY.get(name, name) if name not in there else name: name for name in columns}
    frame = pd.read_parquet(body, columns=[name for name in asked if name in there])
    return frame.rename(columns=asked).reindex(columns=columns)


def read_facts(store: ObjectStore, batch_id: str, digest: str) -> pd.DataFrame:
    """The facts of every row of a validated batch; ``rule`` is null where the row was accepted."""
    facts = pd.read_parquet(io.BytesIO(store.read(layout.validation(batch_id, digest, "facts.parquet"))))
    return facts.rename(columns={former: name for name, former in _FORMERLY.items()})
