"""Labels that come after the films: labels.csv names files, series or studies, and says when and whence."""

from collections.abc import Sequence

import pandas as pd

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.films.dicom_patients import digest_of_uid
from pneumo_tasks.intake.containers.names import match, plain
from pneumo_tasks.intake.sent.tables import COLUMNS, read_cells

_COLUMNS = {"path": "file", "file": "file", "filename": "file", "study": "study", "studyid": "study"}
_COLUMNS |= {
    "studyinstanceuid": "study",
    "series": "series",
    "seriesid": "series",
    "seriesinstanceuid": "series",
}
_COLUMNS |= {"label": "label", "date": "labelled_at", "source": "label_source"}
_NAMING = ("file", "series", "study")  # what a row may name; a row that names several means the first
_MOST = 64  # characters of a cell; a UID has no more


def read_labels(data: bytes, where: str) -> pd.DataFrame:
    """Columns file, series, study, label, labelled_at, label_source; BadBatch where it says no labels."""
    rows = read_cells(data, "labels.csv", where, _COLUMNS)
    if "label" not in rows or not set(_NAMING) & set(rows.columns):
        raise BadBatch(
            "the labels have no column 'label', or none of 'file', 'series' and 'study'", where=where,
            found=f"columns: {', '.join(rows.attrs[COLUMNS])}"[:200],
            do="Name the columns file,label,date,source.",
        )  # fmt: skip
    rows = rows.reindex(columns=[*_NAMING, "label", "labelled_at", "label_source"], fill_value="")
    rows["file"] = [plain(file) for file in rows["file"]]
    for name in rows.columns[1:]:
        rows[name] = [cell.strip()[:_MOST] for cell in rows[name]]
    return rows[rows["label"] != ""].reset_index(drop=True)


def with_labels(facts: pd.DataFrame, labels: pd.DataFrame, root: str, key: bytes | None) -> pd.DataFrame:
    """The facts of the films that have a label, each label once; of two labels a rule will say so.

    ``root`` are the folders around the batch. A label of a series or a study is that of all of its films.
    Raises BadBatch where no label fits a film.
    """
    by_file = labels[labels["file"] != ""].copy()
    by_file["file"] = match(list(by_file["file"]), facts["file"], root)
    rest = labels[labels["file"] == ""]
    named = pd.concat([by_file, *(_by_group(facts, rest, name, key) for name in _NAMING[1:])])
    named = named[["file", "label", "labelled_at", "label_source"]].drop_duplicates(["file", "label"])
    found = facts.drop(columns="label").merge(named, on="file")
    if found.empty:
        raise BadBatch(
            "no label fits a film of the batch", found=f"{len(labels)} labels, {len(facts)} films",
            do="Name the files as the batch does, or the series or studies.",
        )  # fmt: skip
    return found.sort_values(["file", "label"], ignore_index=True)


def _by_group(facts: pd.DataFrame, labels: pd.DataFrame, name: str, key: bytes | None) -> pd.DataFrame:
    """The labels of series, or of studies, as labels of their files."""
    if name not in facts:  # judged before series were told apart
        return labels.iloc[:0]
    meant = labels[(labels[name] != "") & ((name == "series") | (labels["series"] == ""))]
    meant = pd.concat([meant, meant.assign(**{name: _digests(list(meant[name]), key)})])
    films = facts[["file", name]].drop_duplicates("file")
    return meant.drop(columns="file").merge(films[films[name] != ""], on=name)


def _digests(uids: Sequence[str], key: bytes | None) -> list[str]:
    return [digest_of_uid(uid, key) for uid in uids]
