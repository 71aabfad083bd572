"""The facts of judged films as one table, read by sums: a long history must not cost a request a batch.

``catalogue/facts/<columns>/<size>/<place>.parquet`` holds what is asked of the facts of ``size`` places of
the catalogue, up to that place, without thumbnails. Facts and places never change, so whoever first needs
a sum writes it, and a sum that is missing costs reads and never an answer. ``columns`` is a digest of
SUMMED: a release that asks for another column makes sums of its own, and reads none that lacks it.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow.parquet as pq

from pneumo_tasks.intake.records.catalogue import Catalogue, CatalogueEntry
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.sent.manifests import OPTIONAL
from pneumo_tasks.intake.sent.patients import canonical
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import UPGRADING, read_many
from pneumo_tasks.storage.numbered import parts_up_to, smaller_parts
from pneumo_tasks.storage.object_store import ObjectStore, sha256

SUMMED = (
    "file", "key", "label", "patient", "patient_id", "family", "sha256", "pixel_digest", "phash",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "clipped_share", "rule", *OPTIONAL,
)  # fmt: skip
_FORMERLY = {"pixel_digest": "pixel_sha256"}  # facts written before the digest was BLAKE3
FACTS = "facts.parquet"  # of a batch, beside its verdict
_SUMS = f"{layout.FACT_SUMS}{sha256(' '.join(SUMMED).encode())[:8]}/"
_THREADS = 16


def read_facts(store: ObjectStore, catalogue: Catalogue, columns: Sequence[str]) -> pd.DataFrame:
    """Every row of every accepted batch of the catalogue, in the order of acceptance.

    ``columns`` are some of SUMMED; ``batch_id`` comes with them. Rows in quarantine have a ``rule``.
    Withdrawn and replaced batches are among them: who counts is for the caller to say. The cost is a
    listing and some thirty objects, however long the catalogue is.
    """
    sums = _Sums(store, catalogue, {listed.key for listed in store.list_objects(_SUMS)})
    parts = list(parts_up_to(catalogue.head))
    frames = read_many(
        lambda part: sums.read(part[0], part[1], columns), parts, seconds=UPGRADING, threads=_THREADS
    )
    return _joined(frames, columns)


def read_thumbnails(store: ObjectStore, films: pd.DataFrame) -> list[bytes]:
    """The thumbnails of rows with ``facts_key`` and ``file``, in their order; each batch is read once."""
    found: dict[tuple[str, str], bytes] = {}
    for facts_key, rows in films.groupby("facts_key"):
        facts = _columns(store.read(str(facts_key)), ["file", "thumbnail"])
        facts = facts[facts["file"].isin(rows["file"]) & facts["thumbnail"].notna()]
        found |= {
            (str(facts_key), file): raw for file, raw in zip(facts["file"], facts["thumbnail"], strict=True)
        }
    return [found[key] for key in zip(films["facts_key"], films["file"], strict=True)]


def facts_key(verdict: BatchVerdict) -> str:
    """Where the facts are that the verdict was made of."""
    return verdict.evidence(FACTS)


@dataclass(frozen=True)
class _Sums:
    """Reads places of the catalogue; ``there`` are the sums that exist."""

    store: ObjectStore
    catalogue: Catalogue
    there: set[str]

    def read(self, size: int, last: int, columns: Sequence[str]) -> pd.DataFrame:
        if size == 1:
            return self._of_one(last, columns)
        key = layout.sum_of(_SUMS, size, last, "parquet")
        if key in self.there:
            return _columns(self.store.read(key), ["batch_id", *columns])
        whole = _joined([self.read(part, at, SUMMED) for part, at in smaller_parts(size, last)], SUMMED)
        body = io.BytesIO()
        whole.to_parquet(body, index=False)
        self.store.put_once(key, body.getvalue(), "application/vnd.apache.parquet")
        # What was just written is read back, so that the first reader sees the types that a later one sees.
        return _columns(body.getvalue(), ["batch_id", *columns])

    def _of_one(self, seq: int, columns: Sequence[str]) -> pd.DataFrame:
        entry = _accepted_at(self.catalogue, seq)
        if entry is None:
            return pd.DataFrame()
        facts = _columns(self.store.read(facts_key(entry.verdict)), columns)
        return facts.assign(batch_id=entry.verdict.batch_id)[["batch_id", *columns]]


def _accepted_at(catalogue: Catalogue, seq: int) -> CatalogueEntry | None:
    """The entry that counts at a place: the first of its batch, and accepted."""
    entry = catalogue.at(seq)
    return entry if entry and entry.verdict.state == "accepted" else None


def _joined(frames: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    full = [frame for frame in frames if not frame.empty]
    if not full:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in ("batch_id", *columns)})
    return pd.concat(full, ignore_index=True)


def _columns(body: bytes, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of the facts of one batch; null where it was judged before they existed."""
    source = io.BytesIO(body)
    there = set(pq.read_schema(source).names)
    asked = {_FORMERLY.get(name, name) if name not in there else name: name for name in columns}
    wanted = [name for name in asked if name in there]
    frame = pd.read_parquet(source, columns=wanted).rename(columns=asked)
    if "patient_id" in columns and "patient_id" not in there:
        frame["patient_id"] = _stated_ids(frame)
    return frame.reindex(columns=list(columns))


def _stated_ids(frame: pd.DataFrame) -> pd.Series:
    """Of facts without the column: the id, where the key begins with the site, so that images.csv gave it."""
    family, _, number = frame["patient"].fillna("").str.partition(":").T.values
    if "site" not in frame:
        return pd.Series("", index=frame.index)
    stated = frame["site"].astype(object).where(frame["site"].notna(), "").map(canonical)
    same = (stated != "") & (pd.Series(family, index=frame.index).map(canonical) == stated)
    return pd.Series(number, index=frame.index).where(same, "")
