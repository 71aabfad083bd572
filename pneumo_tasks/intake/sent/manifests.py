"""images.csv: which file shows which patient with which label."""

import posixpath
import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.films.circumstances import age_band, device_of, month_of, priority_of, sex_of, side_of
from pneumo_tasks.films.nobody import is_missing
from pneumo_tasks.intake.containers.names import plain
from pneumo_tasks.intake.sent.ids import repaired
from pneumo_tasks.intake.sent.tables import COLUMNS, read_cells

REQUIRED = ("path", "label")
COARSE = {  # kept as coarse words alone
    "age_band": age_band,
    "sex": sex_of,
    "device": device_of,
    "month": month_of,
    "laterality": side_of,
    "priority": priority_of,
}
OPTIONAL = ("site", "view", "study_id", *COARSE)
MAX_BYTES = 64 * 2**20
MAX_PATH = 512
# Columns in which tables of public data say to which part a film belongs.
_DIVISIONS = ("split", "set", "subset", "dataset_type", "partition")
DIVISION = "division"  # the key of the attribute that holds what they say
_TITLES = {
    name.replace("_", ""): name for name in (*REQUIRED, "patient_id", "series_id", *OPTIONAL, *_DIVISIONS)
}
_TITLES |= {
    "age": "age_band",
    "patientage": "age_band",
    "gender": "gender",
    "patientsex": "gender",
    "acquiredat": "acquired_at",
    "acquisitiondate": "acquired_at",
    "studydate": "acquired_at",
    "imagelaterality": "laterality",
    "requestedprocedurepriority": "priority",
    "viewposition": "view",
}
# The key of the attribute that holds the titles of columns that may have been meant, and are not used.
UNUSED = "unused"
_INSTEAD = {"gender": "sex", "acquired_at": "month"}  # columns that stand in where the other is not given
_MEANT = {
    "id", "mrn", "pid", "patient", "subject", "case", "label", "class", "target", "diagnosis", "finding",
    "findings", "dx", "file", "filename", "image", "fold", "projection", "position",
}  # fmt: skip


def read_manifest(data: bytes, where: str, required: Sequence[str] = REQUIRED) -> pd.DataFrame:
    """The rows of images.csv, every cell a stripped str, with at least path, label and patient_id.

    Delimiter , ; tab or |, any line ends; UTF-8 (with or without mark), UTF-16 or Windows-1252. Ids that
    a program has changed are repaired where that is certain. Raises BadBatch naming the line or the
    column that is wrong; other columns (names, birthdays) never enter the system.
    """
    cells = read_cells(data, "images.csv", where, _TITLES)
    columns = cells.attrs[COLUMNS]
    missing = [name for name in required if name not in cells]
    if missing:
        raise BadBatch(
            f"images.csv has no column {missing[0]!r}",
            where=f"{where}, line 1",
            found=_titles_found(columns),
            do="Let the first line name the columns: path,label,patient_id.",
        )
    said = {cell for name in _DIVISIONS if name in cells for cell in cells[name]}
    rows = _cleaned(cells.drop(columns=[name for name in _DIVISIONS if name in cells]))
    rows.attrs[DIVISION] = sorted(said)
    rows.attrs[UNUSED] = [name for name in dict.fromkeys(columns) if name not in cells and _looks_used(name)]
    return rows


def _titles_found(columns: Sequence[str]) -> str:
    """How many titles, and those that we know: without a header the first line is of a patient."""
    known = [name for name in dict.fromkeys(columns) if name in _TITLES.values()]
    return f"{len(columns)} columns, of them known: {', '.join(known) or 'none'}"


def _cleaned(rows: pd.DataFrame) -> pd.DataFrame:
    for at, name in enumerate((*REQUIRED, "patient_id")):
        if name not in rows:
            rows.insert(at, name, "")
    rows["path"] = [plain(path) for path in rows["path"]]  # never stripped
    for name in rows.columns[1:]:
        rows[name] = [cell.strip() for cell in rows[name]]
    for name in rows.columns[2:]:
        rows[name] = ["" if is_missing(cell) else cell for cell in rows[name]]
    rows["patient_id"] = repaired(list(rows["patient_id"]))
    for name, other in _INSTEAD.items():
        if name in rows:
            rows = rows.rename(columns={name: other}) if other not in rows else rows.drop(columns=name)
    for name in COARSE.keys() & set(rows.columns):
        rows[name] = [COARSE[name](cell) for cell in rows[name]]
    return rows


def _looks_used(title: str) -> bool:
    """Whether a title sounds like an id or a label: then its sender may think that it is one."""
    words = set(re.findall(r"[a-z]+", title))
    return bool(words & _MEANT) or title.endswith("id")


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
