"""What an object of the bucket is without one patient; pure."""

import csv
import io
import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pneumo_tasks.intake.sent.patients import canonical_key
from pneumo_tasks.storage.object_store import canonical_json


@dataclass(frozen=True)
class Traces:
    """What a patient is recognised by: the key, the ids as they were sent, and digests of the films.

    ``names`` are the file names by batch: the same name may belong to somebody else in another batch.
    """

    patient: str
    ids: frozenset[str]
    digests: frozenset[str]
    names: dict[str, frozenset[str]]

    def in_batch(self, batch_id: str) -> frozenset[str]:
        """Every text that a cell of a document about this batch must not have."""
        names = self.names.get(batch_id)
        return self.digests | {self.patient} | (names | self.ids if names else frozenset())

    def are_in(self, body: bytes) -> bool:
        """Whether a document of any kind holds the key or a digest."""
        return any(text.encode() in body for text in (self.patient, *self.digests))


def parquet_without(body: bytes, traces: Traces) -> bytes | None:
    """The table without the patient's rows; None where it has none."""
    frame = pd.read_parquet(io.BytesIO(body))
    texts = frame.select_dtypes(include=["object", "string"])
    found = pd.Series(False, index=frame.index)
    for name in texts:
        cells = texts[name].map(lambda cell: cell if isinstance(cell, str) else "")
        if name == "patient":
            found |= cells.map(_canonical) == traces.patient
        found |= cells.isin(traces.digests)
    return frame[~found].to_parquet(index=False) if found.any() else None


def json_without(body: bytes, texts: Set[str]) -> bytes | None:
    """The document without the list items and fields that hold one of ``texts``; None where none does."""
    document = json.loads(body)
    rest = _without(document, texts)
    return canonical_json(rest) if rest != document else None


def csv_without(body: bytes, texts: Set[str]) -> bytes | None:
    """The lines of which no cell is one of ``texts``; None where all stay."""
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    kept = [row for row in rows if not texts & {cell.strip() for cell in row}]
    if len(kept) == len(rows):
        return None
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(kept)
    return written.getvalue().encode()


def _canonical(key: str) -> str:
    return canonical_key(key) if key else ""


def _without(value: Any, texts: Set[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: _without(found, texts)
            for name, found in value.items()
            if name not in texts and not (isinstance(found, str) and found in texts)
        }
    if isinstance(value, list):
        return [_without(item, texts) for item in value if not _names(item, texts)]
    return value


def _names(item: Any, texts: Set[str]) -> bool:
    """Whether an item of a list is about the patient: it is one of ``texts``, or a field of it is."""
    if isinstance(item, dict):
        return any(isinstance(found, str) and found in texts for found in item.values())
    return isinstance(item, str) and item in texts
