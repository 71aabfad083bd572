"""images.csv: which file shows which patient with which label."""

import csv
import io
import posixpath
import re
import unicodedata
import warnings

import pandas as pd

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.names import one_form

REQUIRED = ("path", "label")
OPTIONAL = ("site", "view", "study_id", "acquired_at")
MAX_ROWS = 500_000
MAX_BYTES = 64 * 2**20
_MAX_HEADER = 65_536
MAX_PATH = 512
_TITLES = {name.replace("_", ""): name for name in (*REQUIRED, "patient_id", *OPTIONAL)}
# What statistics packages and people write where a value is missing.
_MISSING = {
    "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "missing", "unknown", "-", "--", "?", ".",
}  # fmt: skip
_ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")


def read_manifest(data: bytes, where: str) -> pd.DataFrame:
    """The rows of images.csv, every cell a stripped str, with at least path, label and patient_id.

    Any delimiter that pandas can find; UTF-8 (with or without mark), UTF-16 or Windows-1252.
    Raises BadBatch naming the line or the column that is wrong.
    """
    text = _decoded(data, where).replace("\r\n", "\n").replace("\r", "\n")
    if len(text.lstrip().split("\n", 1)[0]) > _MAX_HEADER:
        raise BadBatch("the first line of images.csv is too long", where=f"{where}, line 1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it would drop cells in silence
            rows = pd.read_csv(
                io.StringIO(text),
                dtype=str,
                keep_default_na=False,
                sep=_delimiter(text),
                skipinitialspace=True,
                index_col=False,
                nrows=MAX_ROWS + 1,
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning, ValueError) as error:
        raise BadBatch(
            "images.csv cannot be read as a table", where=where, found=str(error), do="Correct that line."
        ) from None
    rows.columns = pd.Index([_column(str(name)) for name in rows.columns])
    _check_twice(text, where)
    rows = rows.fillna("")
    rows = rows[(rows.map(str.strip) != "").any(axis=1)]  # lines of commas, as spreadsheets leave them
    _check_columns(rows, where)
    if "patient_id" not in rows:
        rows["patient_id"] = ""
    # Other columns (names, birthdays) never enter the system.
    rows["path"] = rows["path"].map(one_form).str.replace("\\", "/").str.removeprefix("./")
    kept = ["path", "label", "patient_id", *(name for name in OPTIONAL if name in rows)]
    rows = rows[kept].copy()
    for name in kept[1:]:
        rows[name] = rows[name].str.strip()
    for name in kept[2:]:
        rows[name] = rows[name].where(~rows[name].str.casefold().isin(_MISSING), "")
    rows["patient_id"] = without_decimals(rows["patient_id"])
    return rows.reset_index(drop=True)


def without_decimals(ids: pd.Series) -> pd.Series:
    """Numbers as they were before a table with gaps made them decimal: 7.0 is 7.

    Only where that is certain: no id of the column has decimals of its own.
    """
    if ids.str.fullmatch(r"[0-9]+\.[0-9]*[1-9][0-9]*").any():
        return ids
    whole = ids.str.fullmatch(r"[0-9]+\.0+")
    return ids.where(~whole, ids.str.partition(".")[0])


def spreadsheet_fault(patient_id: str) -> str | None:
    """Why an id is no longer what its sender wrote, and cannot be repaired; None where it may be used."""
    if re.fullmatch(r"[0-9](\.[0-9]+)?[eE]\+?[0-9]+", patient_id):
        return "a spreadsheet wrote the id as a power of ten, and its digits are lost"
    if patient_id.startswith("#"):
        return "a spreadsheet wrote an error in place of the id"
    return None


def _decoded(data: bytes, where: str) -> str:
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else _ENCODINGS
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text:
            return text
    line = data[: data.find(b"\0")].count(b"\n") + 1 if b"\0" in data else 1
    raise BadBatch(
        "images.csv is not text", where=f"{where}, line {line}", do="Save it as CSV with UTF-8 encoding."
    )


def _delimiter(text: str) -> str:
    header = text.lstrip().split("\n", 1)[0]
    return max(",;\t|", key=header.count)


def _check_columns(rows: pd.DataFrame, where: str) -> None:
    missing = [name for name in REQUIRED if name not in rows]
    found = ", ".join(map(str, rows.columns))[:200]
    if missing:
        raise BadBatch(
            f"images.csv has no column {missing[0]!r}",
            where=f"{where}, line 1",
            found=f"columns: {found}",
            do="Name the columns path,label,patient_id.",
        )
    if rows.empty:
        raise BadBatch("images.csv lists no image", where=f"{where}, line 2", do="List each file in a row.")
    if len(rows) > MAX_ROWS:
        raise BadBatch("images.csv lists too many images", where=where, found=f"limit {MAX_ROWS}")


def _check_twice(text: str, where: str) -> None:
    """pandas numbers a column that comes twice, and would use the first in silence."""
    header = next(csv.reader([text.lstrip().split("\n", 1)[0]], delimiter=_delimiter(text)), [])
    names = [_column(name) for name in header]
    twice = [name for name in (*REQUIRED, "patient_id", *OPTIONAL) if names.count(name) > 1]
    if twice:
        raise BadBatch(f"images.csv has the column {twice[0]!r} twice", where=f"{where}, line 1")


def _column(name: str) -> str:
    """The column that a title means: PatientID, Patient ID and patient-id are patient_id."""
    meant = re.sub(r"[^a-z0-9]", "", name.lower())
    return _TITLES.get(meant, name.strip().lower())


def path_fault(path: str) -> str | None:
    """Why ``path`` may not be part of a key or shown to a person as it is; None where it may."""
    if not path:
        return "no path"
    if path.startswith(("/", "\\")) or path[1:3] in (":\\", ":/"):
        return "absolute path"
    parts = path.replace("\\", "/").split("/")
    if ".." in parts or posixpath.normpath(path) != path:
        return "leaves the batch or is not in its shortest form"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in path):
        return "invisible or control characters"
    if "\ufffd" in path:
        return "a name that is not UTF-8"
    if len(path) > MAX_PATH or max(map(len, parts)) > 255:
        return "longer than a file name may be"
    return None
