"""From a batch to its facts: a row for each line of images.csv, or for each member of an archive."""

import logging
import re
import time
from dataclasses import fields

import pandas as pd

from pneumo_tasks.errors import BadBatch, BadData, ObjectMissing
from pneumo_tasks.films.views import view_of
from pneumo_tasks.intake import patients
from pneumo_tasks.intake.archives import NOT_SENT, Source, label_of
from pneumo_tasks.intake.batches import Batch, read_files
from pneumo_tasks.intake.inspection import Facts
from pneumo_tasks.intake.inspectors import Assignment, Progress, inspect_files
from pneumo_tasks.intake.manifests import MAX_BYTES, path_fault, read_manifest, spreadsheet_fault
from pneumo_tasks.intake.names import refuse_other_halves
from pneumo_tasks.intake.proofs import prove_archive, read_member, read_sent
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

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
        [
            sources.get(file) or Source(file, layout.incoming(batch.batch_id, file), fault=NOT_SENT)
            for file in asked
        ],
        _progress(batch.batch_id),
    )
    columns = [field.name for field in fields(Facts)]
    facts = rows.merge(pd.DataFrame(found, columns=columns), on="file", how="left")
    return _with_patients(assignment, facts), len(sources.keys() - set(rows["file"]))


def _rows_and_sources(store: ObjectStore, batch: Batch) -> tuple[pd.DataFrame, dict[str, Source]]:
    if batch.archive:
        return _of_archive(store, batch)
    if batch.files_json_sha256:
        key = layout.incoming_file(batch.batch_id, batch.images_csv_sha256)
        sources = {
            file.path: Source(
                file.path, layout.incoming_file(batch.batch_id, file.sha256),
                size=file.size, sha256=file.sha256,
            )
            for file in read_files(store, batch)
        }  # fmt: skip
    else:
        key = layout.batch_images_csv(batch.batch_id)
        prefix = layout.incoming(batch.batch_id)
        objects = {listed.key.removeprefix(prefix): listed for listed in store.list_objects(prefix)}
        sources = {
            file: Source(file, listed.key, size=listed.size, etag=listed.etag)
            for file, listed in objects.items()
            if file not in ("images.csv", "batch.json")
        }
    try:
        manifest = read_sent(store, key, batch.images_csv_sha256, MAX_BYTES)
    except ObjectMissing:
        raise BadBatch("the batch has no images.csv", where=key, do="Upload the folder again.") from None
    return _manifest(manifest, key), sources


def _of_archive(store: ObjectStore, batch: Batch) -> tuple[pd.DataFrame, dict[str, Source]]:
    key = layout.incoming(batch.batch_id, batch.archive)
    if batch.files_sha256 and not store.exists(key):
        key = layout.incoming_file(batch.batch_id, batch.files_sha256)
    proven = prove_archive(store, key, batch.archive, batch.files_sha256)
    members = {member.file: member for member in proven}
    refuse_other_halves(members, batch.split, key)
    listed = members.pop("images.csv", None)
    if listed:
        return _manifest(_read(store, listed), f"{key}/images.csv"), members
    if not members:
        raise BadBatch("the archive holds no file", where=key, do="Pack it again.")
    rows = pd.DataFrame({"file": list(members), "label": [label_of(file) for file in members]})
    return rows.assign(patient_id=""), members


def _manifest(data: bytes, where: str) -> pd.DataFrame:
    return read_manifest(data, where).rename(columns={"path": "file"})


def _read(store: ObjectStore, source: Source) -> bytes:
    if source.fault or source.size > MAX_BYTES:
        found = source.fault or f"{source.size} bytes, limit {MAX_BYTES}"
        raise BadBatch("images.csv in the archive cannot be read", where=source.key, found=found)
    try:
        return read_member(store, source, MAX_BYTES)
    except BadData as error:
        raise BadBatch(
            "images.csv in the archive cannot be read", where=source.key, found=str(error)
        ) from None


def _with_patients(assignment: Assignment, facts: pd.DataFrame) -> pd.DataFrame:
    """Who and which view: the manifest decides, then the DICOM file, then the file name."""
    pattern = patients.compiled(assignment.settings.patient_pattern)
    site_in_key = assignment.settings.patient_site
    sites = facts["site"] if "site" in facts else pd.Series("", index=facts.index)
    dicom = facts["format"] == "DICOM"
    keys = [
        _key(file, given, site if site_in_key else "", pseudonym, pattern)
        for file, given, site, pseudonym in zip(
            facts["file"], facts["patient_id"], sites, facts["pseudonym"].where(dicom).fillna(""), strict=True
        )
    ]
    several = _of_several(facts["file"], keys)
    why = _NO_KEY if assignment.settings.pseudonym_key is None else "the DICOM file has no PatientID"
    views = facts["dicom_view"].fillna("")
    if "view" in facts:
        views = facts["view"].where(facts["view"] != "", views)
    if "view" in facts or (views != "").any():
        facts = facts.assign(view=views)
    return facts.assign(
        patient=_objects([str(key) if key else None for key in keys]),
        family=_objects([(key.shown or key.family) if key else None for key in keys]),
        patient_fault=_objects(
            [
                "images.csv lists the file for several patients"
                if file in several
                else None
                if key
                else _why_nobody(given, why if is_dicom else "no patient id")
                for file, key, is_dicom, given in zip(
                    facts["file"], keys, dicom, facts["patient_id"], strict=True
                )
            ]
        ),
        view_fault=_objects([_view_fault(assignment.settings, view) for view in views]),
    ).drop(columns=["pseudonym", "dicom_view"])


def _key(
    file: str, given: str, site: str, pseudonym: str, pattern: re.Pattern[str]
) -> patients.PatientKey | None:
    """The key by the manifest, else the DICOM file, else the name; None where the manifest's id is wrong."""
    if _wrong_id(given):
        return None
    return (
        patients.from_column(given, site)
        or patients.from_column(pseudonym, site, dicom=True)
        or patients.from_file_name(file.rsplit("/", 1)[-1], pattern)
    )


def _wrong_id(given: str) -> str | None:
    return (patients.id_fault(given) or spreadsheet_fault(given)) if given else None


def _why_nobody(given: str, otherwise: str) -> str:
    return _wrong_id(given) or otherwise


def _of_several(files: pd.Series, keys: list[patients.PatientKey | None]) -> set[str]:
    """The files that images.csv lists for more than one patient."""
    named = pd.Series([str(key) if key else "" for key in keys], index=files.index)
    return set(files[named.groupby(files).transform("nunique") > 1])


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
