"""Everything that passed: the one table that datasets are assembled from."""

from collections.abc import Collection

import pandas as pd

from pneumo_tasks.intake.records.catalogue import Catalogue, CatalogueEntry, open_catalogue
from pneumo_tasks.intake.records.facts import SUMMED, facts_key, read_facts
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.records.withdrawals import withdrawn_batches
from pneumo_tasks.intake.sent.manifests import OPTIONAL
from pneumo_tasks.intake.sent.patients import canonical, canonical_key
from pneumo_tasks.storage.object_store import ObjectStore

COLUMNS = (
    "key", "file", "batch_id", "label", "patient", "family", "split", "sha256", "pixel_digest",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "synthetic", "created_at",
)  # fmt: skip

KNOWN = (
    "file", "label", "patient", "patient_id", "site", "sha256", "pixel_digest", "phash",
    "width", "height", "bytes", "grey_mean", "grey_deviation", "clipped_share",
    "view", "age_band", "sex", "device", "laterality", "priority",
)  # fmt: skip
DISPUTES = ("one-label", "one-split")


def accepted_entries(store: ObjectStore, catalogue: Catalogue | None = None) -> list[CatalogueEntry]:
    """The accepted batches that count, in the order of acceptance: neither withdrawn nor replaced."""
    entries = (catalogue or open_catalogue(store)).entries
    out = withdrawn_batches(store, entries)
    counted = [e for e in entries if e.verdict.state == "accepted" and e.verdict.batch_id not in out]
    replaced = {old for entry in counted for old in entry.batch.replaces}
    return [entry for entry in counted if entry.verdict.batch_id not in replaced]


def accepted_verdicts(store: ObjectStore, catalogue: Catalogue | None = None) -> list[BatchVerdict]:
    """The verdicts of all batches that count, in the order of acceptance, without their rejected files."""
    return [entry.verdict for entry in accepted_entries(store, catalogue)]


def accepted_images(
    store: ObjectStore, site_in_key: bool = False, catalogue: Catalogue | None = None
) -> pd.DataFrame:
    """One row per accepted image of all accepted batches: COLUMNS, those of OPTIONAL that are given.

    ``created_at`` orders the batches as they were accepted: it is our time, never the sender's.
    Patients are in the canonical form of today, whatever release judged the batch.
    Sorted by batch and file; empty, with all of COLUMNS, where nothing was accepted.
    """
    catalogue = catalogue or open_catalogue(store)
    counted = {entry.verdict.batch_id: entry for entry in accepted_entries(store, catalogue)}
    films = read_facts(store, catalogue, SUMMED)
    films = films[films["rule"].isna() & films["batch_id"].isin(counted)].copy()
    if films.empty:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    films["patient"] = keys_of_today(films, site_in_key)
    films["split"] = films["batch_id"].map({name: e.batch.split for name, e in counted.items()})
    films["synthetic"] = films["batch_id"].map({name: e.batch.synthetic for name, e in counted.items()})
    films["created_at"] = films["batch_id"].map(
        {name: f"{e.seq:08d} {e.verdict.validated_at}" for name, e in counted.items()}
    )
    for name in ("width", "height", "bytes"):
        films[name] = films[name].astype("int64")
    given = [name for name in OPTIONAL if films[name].notna().any()]
    films = films[[*COLUMNS, *given]]
    return films.sort_values(["batch_id", "file"], kind="stable").reset_index(drop=True)


def keys_of_today(rows: pd.DataFrame, site_in_key: bool) -> pd.Series:
    """The column ``patient`` in canonical form; where the site is no part of the key, without it.

    Earlier releases put the site in front of an id where a batch stated one.
    """
    former = rows["patient"]
    today = {key: canonical_key(key) for key in former.dropna().unique()}  # once a patient, not once a film
    keys = former.map(lambda key: today.get(key, key))
    if site_in_key or "site" not in rows or rows.empty:
        return keys
    stated = rows["site"].astype(object).where(rows["site"].notna(), "").map(canonical)
    prefixed = (stated != "") & (keys.str.partition(":")[0] == stated)
    if "patient_id" in rows:  # facts have it, the rows of a snapshot do not
        prefixed &= rows["patient_id"].fillna("") != ""
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
    catalogue = catalogue or open_catalogue(store)
    verdicts = {entry.verdict.batch_id: entry.verdict for entry in accepted_entries(store, catalogue)}
    counted = {name: found for name, found in verdicts.items() if name not in except_batches}
    films = read_facts(store, catalogue, [*KNOWN, "rule"])
    films = films[films["batch_id"].isin(counted)].reset_index(drop=True)
    films["patient"] = keys_of_today(films, site_in_key)
    keys = {name: facts_key(found) for name, found in counted.items()}
    films["facts_key"] = films["batch_id"].map(keys).astype(object)
    films["split"] = films["batch_id"].map({n: found.split for n, found in counted.items()}).astype(object)
    disputed = films[films["rule"].isin(DISPUTES)]
    place = disputed["batch_id"] + "/" + disputed["file"]
    accepted = films[films["rule"].isna()].drop(columns="rule").reset_index(drop=True)
    return accepted, disputed.assign(place=place)[["pixel_digest", "rule", "place"]]
