"""Everything that passed: the one table that datasets are assembled from."""

import io
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow.parquet as pq

from pneumo_tasks.intake.catalogue import Catalogue, Entry, open_catalogue
from pneumo_tasks.intake.manifests import OPTIONAL
from pneumo_tasks.intake.patients import canonical, canonical_key
from pneumo_tasks.intake.verdicts import BatchVerdict
from pneumo_tasks.intake.withdrawals import withdrawn_batches
from pneumo_tasks.storage.object_store import ObjectStore

COLUMNS = (
    "key", "file", "batch_id", "label", "patient", "family", "split", "sha256", "pixel_digest",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "synthetic", "created_at",
)  # fmt: skip

KNOWN = (
    "file", "label", "patient", "patient_id", "site", "sha256", "pixel_digest", "phash",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "clipped_share",
)  # fmt: skip
_FORMERLY = {"pixel_digest": "pixel_sha256"}  # facts written before the digest was BLAKE3
DISPUTES = ("one-label", "one-split")


def accepted_entries(store: ObjectStore, catalogue: Catalogue | None = None) -> list[Entry]:
    """The accepted batches that count, in the order of acceptance: neither withdrawn nor replaced."""
    entries = (catalogue or open_catalogue(store)).entries
    out = withdrawn_batches(store, entries)
    counted = [e for e in entries if e.verdict.state == "accepted" and e.verdict.batch_id not in out]
    replaced = {old for entry in counted for old in entry.batch.replaces}
    return [entry for entry in counted if entry.verdict.batch_id not in replaced]


def accepted_verdicts(store: ObjectStore) -> list[BatchVerdict]:
    """The verdicts of all batches that count, in the order of acceptance, without their rejected files."""
    return [entry.verdict for entry in accepted_entries(store)]


def accepted_images(store: ObjectStore, site_in_key: bool = False) -> pd.DataFrame:
    """One row per accepted image of all accepted batches: COLUMNS, those of OPTIONAL that are given.

    ``created_at`` orders the batches as they were accepted: it is our time, never the sender's.
    Patients are in the canonical form of today, whatever release judged the batch.
    Sorted by batch and file; empty, with all of COLUMNS, where nothing was accepted.
    """
    entries = accepted_entries(store)
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda entry: _rows_of(store, entry, site_in_key), entries))
    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    return pd.concat(frames).sort_values(["batch_id", "file"], kind="stable").reset_index(drop=True)


def _rows_of(store: ObjectStore, entry: Entry, site_in_key: bool) -> pd.DataFrame:
    facts, batch = read_facts(store, entry.verdict), entry.batch
    rows = facts[facts["rule"].isna()].copy()
    rows["batch_id"], rows["split"] = batch.batch_id, batch.split
    rows["synthetic"], rows["created_at"] = batch.synthetic, f"{entry.seq:08d} {entry.verdict.validated_at}"
    rows["patient"] = keys_of_today(rows, site_in_key)
    given = [name for name in OPTIONAL if name in rows]
    for name in ("width", "height", "bytes"):
        rows[name] = rows[name].astype("int64")
    return rows[[*COLUMNS, *given]]


def keys_of_today(rows: pd.DataFrame, site_in_key: bool) -> pd.Series:
    """The column ``patient`` in canonical form; where the site is no part of the key, without it.

    Earlier releases put the site in front of an id where a batch stated one.
    """
    former = rows["patient"]
    today = {key: canonical_key(key) for key in former.dropna().unique()}  # once a patient, not once a film
    keys = former.map(lambda key: today.get(key, key))
    if site_in_key or "site" not in rows or "patient_id" not in rows:
        return keys
    stated = rows["site"].fillna("").map(canonical)
    prefixed = (stated != "") & (keys.str.partition(":")[0] == stated) & (rows["patient_id"].fillna("") != "")
    return keys.where(~prefixed, "patient:" + keys.str.partition(":")[2])


def known_films(
    store: ObjectStore,
    except_batches: Collection[str] = (),
    catalogue: Catalogue | None = None,
    site_in_key: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a new batch is compared with: (accepted, disputed) films of the accepted batches.

    ``accepted`` has KNOWN and ``batch_id, facts_key, split``, but no thumbnails: a million films are
    then some hundred megabytes. ``disputed`` are films in quarantine for a conflict with others,
    which a copy must not get around: ``pixel_digest``, ``rule`` and ``place``.
    """
    entries = accepted_entries(store, catalogue)
    verdicts = [entry.verdict for entry in entries if entry.verdict.batch_id not in except_batches]
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda verdict: _known_of(store, verdict, site_in_key), verdicts))
    columns = [*KNOWN, "rule", "batch_id", "facts_key", "split"]
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
    for facts_key, rows in films.groupby("facts_key"):
        facts = _columns_of(store, str(facts_key), ["file", "thumbnail"])
        facts = facts[facts["file"].isin(rows["file"]) & facts["thumbnail"].notna()]
        found |= {
            (str(facts_key), file): raw for file, raw in zip(facts["file"], facts["thumbnail"], strict=True)
        }
    return [found[key] for key in zip(films["facts_key"], films["file"], strict=True)]


def _known_of(store: ObjectStore, verdict: BatchVerdict, site_in_key: bool) -> pd.DataFrame:
    key = verdict.evidence("facts.parquet")
    films = _columns_of(store, key, [*KNOWN, "rule"])
    films["patient"] = keys_of_today(films, site_in_key)
    return films.assign(batch_id=verdict.batch_id, facts_key=key, split=verdict.split)


def _columns_of(store: ObjectStore, key: str, columns: list[str]) -> pd.DataFrame:
    """Some columns of the facts; null where the batch was judged before they existed."""
    body = io.BytesIO(store.read(key))
    there = set(pq.read_schema(body).names)
    asked = {_FORMERLY.get(name, name) if name not in there else name: name for name in columns}
    frame = pd.read_parquet(body, columns=[name for name in asked if name in there])
    return frame.rename(columns=asked).reindex(columns=columns)


def read_facts(store: ObjectStore, verdict: BatchVerdict) -> pd.DataFrame:
    """The facts of every row of a validated batch; ``rule`` is null where the row was accepted."""
    facts = pd.read_parquet(io.BytesIO(store.read(verdict.evidence("facts.parquet"))))
    return facts.rename(columns={former: name for name, former in _FORMERLY.items()})
