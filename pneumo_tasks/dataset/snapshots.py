"""Dataset snapshots: which images a run trains, validates and tests on, fixed for ever."""

import hashlib
import io
import logging
from functools import partial
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.dataset.shards import assign_shards
from pneumo_tasks.dataset.splits import assign_splits, drop_duplicates, independence_checks, wishes_of
from pneumo_tasks.dataset.summary import IndependenceCheck, SnapshotSummary, snapshot_summary
from pneumo_tasks.errors import BadData, ObjectMissing
from pneumo_tasks.intake.records.accepted import accepted_images, accepted_verdicts, keys_of_today
from pneumo_tasks.intake.records.catalogue import open_catalogue
from pneumo_tasks.intake.records.register import Home, enrol_patients, found_register
from pneumo_tasks.settings import LABELS, Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")


class SnapshotRef(BaseModel):
    """What travels between tasks: names and counts, never the data."""

    model_config = ConfigDict(frozen=True)

    snapshot_id: str
    test_set_id: str
    train: int
    validation: int
    test: int
    shards: list[str]
    new: bool
    digests: dict[str, str] = {}


def assemble_dataset(settings: Settings, store: ObjectStore) -> SnapshotRef | None:
    """Make the snapshot of all accepted images, or find it already made; None where there are none.

    Guarantees that no patient and no pixels are in two splits. ``new`` says whether no run has
    decided on this snapshot yet. Raises BadData where a split lacks a class.
    """
    catalogue = open_catalogue(store)
    accepted = accepted_images(store, settings.patient_site, catalogue)
    if accepted.empty:
        return None
    kept, duplicates = drop_duplicates(accepted)
    register = found_register(settings, store, partial(former_homes, store, settings.patient_site))
    register = enrol_patients(settings, store, register, wishes_of(kept))
    assigned, misplaced = assign_splits(kept, register.homes)
    assigned, unchosen = _choose(assigned, settings.batches)
    excluded = pd.concat([duplicates, misplaced, unchosen])
    training = assigned[assigned["split"] != "test"].copy()
    test = assigned[assigned["split"] == "test"]
    _require_both_classes(assigned)
    training["shard"] = assign_shards(training, settings.shard_images)
    test_set_id = _digest(test, ["sha256", "label", "patient"])
    snapshot_id = _digest(assigned, ["sha256", "key", "label", "patient", "split", "fold"])
    summary = _summarise(snapshot_id, test_set_id, assigned, excluded, accepted_verdicts(store, catalogue))
    failed = [check.name for check in summary.checks if check.verdict == "fail"]
    if failed:
        raise BadData(
            "the splits are not independent", found=", ".join(failed), do="Report this: it is a defect."
        )
    written = _write(store, summary, {"training.parquet": training, "test.parquet": test})
    shards = training["shard"] if written else training_rows(store, snapshot_id)["shard"]
    log.info("snapshot %s: %s, %d excluded", snapshot_id, summary.counts, len(excluded))
    return SnapshotRef(
        snapshot_id=snapshot_id,
        test_set_id=test_set_id,
        **{split: int((assigned["split"] == split).sum()) for split in SPLITS},
        shards=list(dict.fromkeys(shards)),
        new=next(iter(store.list_objects(layout.dataset(snapshot_id, "decisions/"))), None) is None,
    )


def former_homes(store: ObjectStore, site_in_key: bool = False) -> dict[str, Home]:
    """Where every snapshot ever made had its patients; where two disagree, the newer one is right.

    A bucket of an earlier release begins its register with these. Empty where there is no snapshot.
    """
    homes: dict[str, Home] = {}
    moved: set[str] = set()
    for snapshot_id in reversed(made_snapshots(store)):
        for patient, home in _homes_of(store, snapshot_id, site_in_key).items():
            if homes.setdefault(patient, home).split != home.split:
                moved.add(patient)
    if moved:
        log.warning("%d patients changed their split between snapshots: the newest one counts", len(moved))
    return homes


def patients_in_two_splits(store: ObjectStore, site_in_key: bool = False) -> dict[str, list[str]]:
    """The patients that snapshots do not agree on, each with ``split in snapshot``, oldest first."""
    places: dict[str, dict[str, str]] = {}
    for snapshot_id in made_snapshots(store):
        for patient, home in _homes_of(store, snapshot_id, site_in_key).items():
            places.setdefault(patient, {}).setdefault(home.split, f"{home.split} in {snapshot_id}")
    return {patient: list(found.values()) for patient, found in sorted(places.items()) if len(found) > 1}


def made_snapshots(store: ObjectStore) -> list[str]:
    """The snapshots that are whole, oldest first."""
    made = []
    for snapshot_id in filter(layout.is_identifier, store.list_folders(layout.DATASETS)):
        try:
            made.append((snapshot_summary(store, snapshot_id).created_at, snapshot_id))
        except ObjectMissing:
            continue  # an assembly that died before its last write
    return [snapshot_id for _, snapshot_id in sorted(made)]


def _homes_of(store: ObjectStore, snapshot_id: str, site_in_key: bool) -> dict[str, Home]:
    rows = training_rows(store, snapshot_id)
    train = dict(zip(keys_of_today(rows, site_in_key), rows["fold"], strict=True))
    test = set(keys_of_today(test_rows(store, snapshot_id), site_in_key))
    return {
        **{patient: Home(split="train", fold=int(fold)) for patient, fold in train.items()},
        **{patient: Home(split="test", fold=-1) for patient in test},
    }


def training_rows(store: ObjectStore, snapshot_id: str, summary_sha256: str = "") -> pd.DataFrame:
    """The train and validation rows of a snapshot: the accepted columns, ``fold`` and ``shard``."""
    return _read_rows(store, snapshot_id, "training.parquet", summary_sha256)


def test_rows(store: ObjectStore, snapshot_id: str, summary_sha256: str = "") -> pd.DataFrame:  # noqa: PT028
    """The locked test rows of a snapshot; the evaluation alone calls this, and counts the look."""
    return _read_rows(store, snapshot_id, "test.parquet", summary_sha256)


def _choose(assigned: pd.DataFrame, batches: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of ``batches`` (none: all) with every test row, for the test set is nobody's choice."""
    unknown = sorted(set(batches) - set(assigned["batch_id"]))
    if unknown:
        raise BadData(
            f"no image of the batch {', '.join(unknown)} can be used",
            do="Name accepted batches: see `pneumo batch list`.",
        )
    chosen = (assigned["split"] == "test") | assigned["batch_id"].isin(batches) | (not batches)
    return assigned[chosen], assigned[~chosen].assign(reason="its batch was not chosen for this run")


def _require_both_classes(assigned: pd.DataFrame) -> None:
    for split in SPLITS:
        for label in LABELS:
            if not ((assigned["split"] == split) & (assigned["label"] == label)).any():
                raise BadData(
                    f"no {label} image in the {split} split",
                    found=f"{len(assigned)} usable images in all",
                    do="Upload a batch with both classes; mark the test batch with --split test.",
                )


def _digest(rows: pd.DataFrame, columns: list[str]) -> str:
    lines = sorted("\0".join(map(str, row)) for row in rows[columns].itertuples(index=False))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _summarise(
    snapshot_id: str, test_set_id: str, assigned: pd.DataFrame, excluded: pd.DataFrame, verdicts: list[Any]
) -> SnapshotSummary:
    def counted(column: str) -> dict[str, dict[str, int]]:
        table = pd.crosstab(assigned["split"], assigned[column])
        return {str(split): {str(name): int(n) for name, n in row.items()} for split, row in table.iterrows()}

    patients = assigned.groupby("split")["patient"].nunique()
    return SnapshotSummary(
        snapshot_id=snapshot_id,
        test_set_id=test_set_id,
        created_at=journal.now(),
        counts=counted("label"),
        patients={str(split): int(n) for split, n in patients.items()},
        families=counted("family"),
        batches=[verdict.model_dump(mode="json", exclude={"rejected"}) for verdict in verdicts],
        received=sum(verdict.images for verdict in verdicts),
        quarantined=sum(verdict.quarantined for verdict in verdicts),
        excluded=excluded[["file", "batch_id", "reason"]].astype(str).to_dict("records"),
        synthetic=bool(assigned["synthetic"].any()),
        checks=[
            IndependenceCheck(name=c.name, value=c.value, limit=c.limit, verdict=c.verdict)
            for c in independence_checks(assigned)
        ],
    )


def _write(store: ObjectStore, summary: SnapshotSummary, tables: dict[str, pd.DataFrame]) -> bool:
    """Write the rows, then the summary, which says that the snapshot is whole; False where it was there."""
    key = layout.dataset(summary.snapshot_id, "summary.json")
    if store.exists(key):
        return False
    bodies = {name: rows.to_parquet(index=False) for name, rows in tables.items()}
    for name, body in bodies.items():
        store.put(layout.dataset(summary.snapshot_id, name), body)
    named = summary.model_copy(update={"tables": {name: sha256(body) for name, body in bodies.items()}})
    store.put_json(key, named.model_dump(mode="json"))
    return True


def _read_rows(store: ObjectStore, snapshot_id: str, name: str, summary_sha256: str = "") -> pd.DataFrame:
    """A table of a snapshot; CorruptArtefact where it is not the one that the summary names."""
    key = layout.dataset(snapshot_id, name)
    digest = snapshot_summary(store, snapshot_id, summary_sha256).tables.get(name)
    return pd.read_parquet(io.BytesIO(store.read_verified(key, digest) if digest else store.read(key)))
