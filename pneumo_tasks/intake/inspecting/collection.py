"""From a batch to its facts: a row for each line of images.csv, or for each member of an archive."""

import logging
import re
import time
from dataclasses import dataclass, fields

import pandas as pd

from pneumo_tasks.films.nobody import is_placeholder
from pneumo_tasks.films.views import view_of
from pneumo_tasks.intake.containers.archives import NOT_SENT, Files, Source
from pneumo_tasks.intake.inspecting.inspection import Facts
from pneumo_tasks.intake.inspecting.inspectors import Assignment, Progress, inspect_files
from pneumo_tasks.intake.sent import patients
from pneumo_tasks.intake.sent.contents import LABELS_CSV, Contents, read_table
from pneumo_tasks.intake.sent.ids import program_fault
from pneumo_tasks.intake.sent.labels import read_labels, with_labels
from pneumo_tasks.intake.sent.manifests import COARSE, UNUSED
from pneumo_tasks.intake.sent.rows import rows_of
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout

log = logging.getLogger(__name__)

_NO_KEY = "no PNEUMO_PSEUDONYM_KEY is set, so the DICOM PatientID is not used"


@dataclass(frozen=True)
class Collected:
    """``facts`` has a line a row; ``unlisted`` files are in no row, ``unused`` columns sound as if meant."""

    facts: pd.DataFrame
    unlisted: int = 0
    unused: tuple[str, ...] = ()


def collect_facts(
    assignment: Assignment, files: Files, contents: Contents, on_progress: Progress | None = None
) -> Collected:
    """The rows of a batch with what was found in their files.

    The rows are in the order of the file names, whatever the order in the container or in images.csv.
    Raises BadBatch where images.csv cannot be read.
    """
    rows = rows_of(files, contents)
    unused = rows.attrs.get(UNUSED, [])
    asked = rows.loc[rows["path_fault"].isna(), "file"].drop_duplicates()
    missing = layout.incoming(assignment.batch_id, "")
    found = inspect_files(
        assignment,
        [contents.files.get(file) or Source(file, missing + file, fault=NOT_SENT) for file in asked],
        on_progress or _progress(assignment.batch_id),
    )
    columns = [field.name for field in fields(Facts)]
    facts = rows.merge(pd.DataFrame(found, columns=columns), on="file", how="left")
    for name in ("study", "series"):
        facts[name] = _named(facts, name)
    if contents.labels:
        table = read_labels(read_table(files, contents.labels, LABELS_CSV, contents.where), LABELS_CSV)
        facts = with_labels(facts, table, contents.root, assignment.secret)
    unlisted = len(contents.files.keys() - set(facts["file"]))
    return Collected(_with_patients(assignment, facts), unlisted, tuple(unused))


def _with_patients(assignment: Assignment, facts: pd.DataFrame) -> pd.DataFrame:
    """Who and which view: the manifest decides, then the DICOM file, then the file name."""
    pattern = patients.compiled(assignment.settings.patient_pattern)
    site_in_key = assignment.settings.patient_site
    sites = facts["site"] if "site" in facts else pd.Series("", index=facts.index)
    dicom = facts["format"] == "DICOM"
    issuers = [f"dicom-{issuer}" if issuer else "" for issuer in facts["issuer"].where(dicom).fillna("")]
    keys = [
        _key(file, given, (site if site_in_key else "", issuer), pseudonym, pattern)
        for file, given, site, issuer, pseudonym in zip(
            *(facts["file"], facts["patient_id"], sites, issuers),
            facts["pseudonym"].where(dicom).fillna(""),
            strict=True,
        )
    ]
    several = _of_several(facts["file"], keys)
    listed = [is_placeholder(given) for given in facts["patient_id"]]
    stated = (facts["patient_id"] == "") & facts["placeholder"].eq(True)
    why = _NO_KEY if assignment.settings.pseudonym_key is None else "the DICOM file has no PatientID"
    views = facts["dicom_view"].fillna("")
    if "view" in facts:
        views = facts["view"].where(facts["view"] != "", views)
    if "view" in facts or (views != "").any():
        facts = facts.assign(view=views)
    for name in COARSE:
        facts[name] = _coarse(facts, name)
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
        placeholder=pd.Series(listed, index=facts.index, dtype=bool) | stated,
        formerly=_objects(_former_keys(facts, keys, sites if site_in_key else None)),
    ).drop(columns=["pseudonym", "former", "dicom_view", "issuer", *(f"dicom_{name}" for name in COARSE)])


def _coarse(facts: pd.DataFrame, name: str) -> pd.Series:
    """What images.csv says, else the DICOM file; null where neither does."""
    stated = facts[f"dicom_{name}"].fillna("").astype(object)
    if name in facts:
        stated = facts[name].where(facts[name] != "", stated).astype(object)
    return stated.where(stated != "", None)


def _former_keys(
    facts: pd.DataFrame, keys: list[patients.PatientKey | None], sites: pd.Series | None
) -> list[str | None]:
    """What earlier releases called a patient of a DICOM file: without the issuer, by the id as it is."""
    given = sites if sites is not None else pd.Series("", index=facts.index)
    formers = facts["former"].where(facts["patient_id"] == "").fillna("")
    former = [patients.from_column(f, site, dicom=True) for f, site in zip(formers, given, strict=True)]
    return [str(old) if old and new else None for old, new in zip(former, keys, strict=True)]


def _named(facts: pd.DataFrame, name: str) -> pd.Series:
    """Study or series of each film, as images.csv names it, else the digest of what the DICOM file names."""
    named, listed = facts[name].fillna(""), f"{name}_id"
    return facts[listed].where(facts[listed] != "", named) if listed in facts else named


def _key(
    file: str, given: str, origin: tuple[str, str], pseudonym: str, pattern: re.Pattern[str]
) -> patients.PatientKey | None:
    """The key by the manifest, else the DICOM file, else the name; None where the manifest's id is wrong.

    ``origin`` is the site, where it is part of the key, and the issuer of the PatientID: two issuers may
    give one number to two patients.
    """
    if _wrong_id(given):
        return None
    site, issuer = origin
    return (
        patients.from_column(given, site)
        or patients.from_column(pseudonym, site or issuer, dicom=True)
        or patients.from_file_name(file.rsplit("/", 1)[-1], pattern)
    )


def _wrong_id(given: str) -> str | None:
    return (patients.id_fault(given) or program_fault(given)) if given else None


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
