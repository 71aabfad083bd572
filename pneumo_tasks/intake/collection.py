"""From a batch to its facts: a row for each line of images.csv, or for each member of an archive."""

import logging
import time
from dataclasses import fields

import pandas as pd

from pneumo_tasks.errors import BadBatch, BadData, ObjectMissing
from pneumo_tasks.films.views import view_of
from pneumo_tasks.intake import patients
from pneumo_tasks.intake.archives import Source, label_of, list_members, read_source
from pneumo_tasks.intake.batches import Batch
from pneumo_tasks.intake.inspection import Facts
from pneumo_tasks.intake.inspectors import Assignment, Progress, inspect_files
from pneumo_tasks.intake.manifests import MAX_BYTES, path_fault, read_manifest
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256

log = logging.getLogger(__name__)

_NO_KEY = "no PNEUMO_PSEUDONYM_KEY is set, so the DICOM PatientID is not used"


def collect_facts(assignment: Assignment, store: ObjectStore, batch: Batch) -> tuple[pd.DataFrame, int]:
    """The rows of a batch with what was found in their files, and the number of files in no row.

    Raises BadBatch where the manifest or the archive cannot be read.
    """
    rows, sources = _rows_and_sources(store, batch)
    rows["path_fault"] = _objects([path_fault(path) for path in rows["file"]])
    asked = rows.loc[rows["path_fault"].isna(), "file"].drop_duplicates()
    found = inspect_files(
        assignment,
        [sources.get(file) or Source(file, layout.incoming(batch.batch_id, file)) for file in asked],
        _progress(batch.batch_id),
    )
    columns = [field.name for field in fields(Facts)]
    facts = rows.merge(pd.DataFrame(found, columns=columns), on="file", how="left")
    return _with_patients(assignment, facts), len(sources.keys() - set(rows["file"]))


def _rows_and_sources(store: ObjectStore, batch: Batch) -> tuple[pd.DataFrame, dict[str, Source]]:
    prefix = layout.incoming(batch.batch_id)
    if batch.archive:
        members = {member.file: member for member in list_members(store, prefix + batch.archive)}
        listed = members.pop("images.csv", None)
        if listed:
            return _manifest(_read(store, listed), f"{prefix}{batch.archive}/images.csv"), members
        if not members:
            raise BadBatch("the archive holds no file", where=prefix + batch.archive, do="Pack it again.")
        rows = pd.DataFrame({"file": list(members), "label": [label_of(file) for file in members]})
        return rows.assign(patient_id=""), members
    key = layout.batch_images_csv(batch.batch_id)
    objects = {listed.key.removeprefix(prefix): listed for listed in store.list_objects(prefix)}
    if (listed_csv := objects.pop("images.csv", None)) and listed_csv.size > MAX_BYTES:
        raise BadBatch("images.csv is too large", where=key, found=f"{listed_csv.size}, limit {MAX_BYTES}")
    try:
        manifest = store.read(key)
    except ObjectMissing:
        raise BadBatch("the batch has no images.csv", where=key, do="Upload the folder again.") from None
    if sha256(manifest) != batch.images_csv_sha256:
        raise BadBatch("images.csv changed since it was sent", where=key, do="Upload the folder again.")
    objects.pop("batch.json", None)
    sources = {file: Source(file, listed.key, size=listed.size) for file, listed in objects.items()}
    return _manifest(manifest, key), sources


def _manifest(data: bytes, where: str) -> pd.DataFrame:
    return read_manifest(data, where).rename(columns={"path": "file"})


def _read(store: ObjectStore, source: Source) -> bytes:
    if source.fault or source.size > MAX_BYTES:
        found = source.fault or f"{source.size} bytes, limit {MAX_BYTES}"
        raise BadBatch("images.csv in the archive cannot be read", where=source.key, found=found)
    try:
        return read_source(store, source, MAX_BYTES)
    except BadData as error:
        raise BadBatch(
            "images.csv in the archive cannot be read", where=source.key, found=str(error)
        ) from None


def _with_patients(assignment: Assignment, facts: pd.DataFrame) -> pd.DataFrame:
    """Who and which view: the manifest decides, then the DICOM file, then the file name."""
    pattern = patients.compiled(assignment.settings.patient_pattern)
    sites = facts["site"] if "site" in facts else pd.Series("", index=facts.index)
    dicom = facts["format"] == "DICOM"
    keys = [
        patients.from_column(given, site)
        or patients.from_column(pseudonym, site or "dicom")
        or patients.from_file_name(file.rsplit("/", 1)[-1], pattern)
        for file, given, site, pseudonym in zip(
            facts["file"], facts["patient_id"], sites, facts["pseudonym"].where(dicom).fillna(""), strict=True
        )
    ]
    why = _NO_KEY if assignment.settings.pseudonym_key is None else "the DICOM file has no PatientID"
    views = facts["dicom_view"].fillna("")
    if "view" in facts:
        views = facts["view"].where(facts["view"] != "", views)
    if "view" in facts or (views != "").any():
        facts = facts.assign(view=views)
    return facts.assign(
        patient=_objects([str(key) if key else None for key in keys]),
        family=_objects([key.family if key else None for key in keys]),
        patient_fault=_objects(
            [
                None if key else why if is_dicom else "no patient id"
                for key, is_dicom in zip(keys, dicom, strict=True)
            ]
        ),
        view_fault=_objects([_view_fault(assignment.settings, view) for view in views]),
    ).drop(columns=["pseudonym", "dicom_view"])


def _view_fault(settings: Settings, view: str) -> str | None:
    """Why a film with this view may not be used; a view that nobody stated is no fault."""
    found = view_of(view)
    if found == "other" or (found == "unknown" and settings.unknown_views == "quarantine"):
        return view if found == "other" else f"{view}, a view that is not known to be frontal"
    return None


def _progress(batch_id: str, every: float = 10.0) -> Progress:
    """Log images a second and the time that is left, at most every ``every`` seconds."""
    started = last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        moment = time.monotonic()
        if moment - last >= every or done == total:
            last, rate = moment, done / max(moment - started, 1e-9)
            log.info(
                "%s: %d of %d images, %.0f images/s, %.0f s left",
                batch_id, done, total, rate, (total - done) / rate,
            )  # fmt: skip

    return report


def _objects(values: list[str | None]) -> pd.Series:
    return pd.Series(values, dtype=object)
