"""Quarantine: the list of files that stay out, and why; their bytes stay where they arrived."""

import pandas as pd

from pneumo_tasks.intake.records.verdicts import Rejection
from pneumo_tasks.shown import for_csv
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

COLUMNS = ("file", "rule", "value", "limit")


def rejections(failures: pd.DataFrame) -> pd.DataFrame:
    """One line a row of the facts: the first rule it broke. Columns row, file, rule, value, limit."""
    return failures.drop_duplicates("row").sort_values(["file", "row"]).reset_index(drop=True)


def as_list(rejected: pd.DataFrame) -> list[Rejection]:
    lines = rejected[list(COLUMNS)].astype(str).itertuples(index=False, name=None)
    return [Rejection(file=file, rule=rule, value=value, limit=limit) for file, rule, value, limit in lines]


def write_quarantine(store: ObjectStore, batch_id: str, digest: str, rejected: list[Rejection]) -> str:
    """Write rejected.csv and return its key; cells that a spreadsheet would run are disarmed."""
    key = layout.quarantine(batch_id, digest)
    lines = [rejection.model_dump() for rejection in rejected]
    safe = pd.DataFrame(lines, columns=list(COLUMNS), dtype=object).astype(str).map(for_csv)
    store.put(key, safe.to_csv(index=False).encode("utf-8", "backslashreplace"), "text/csv")
    return key
