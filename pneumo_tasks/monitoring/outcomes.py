"""Outcomes: what the live model said of a study, and the diagnosis that was confirmed weeks later.

Each import is an object that is written once and numbered; a correction is a later import of the same
study. So history stays, and the figures follow what is known now.
"""

import csv
import io
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pneumo_tasks.errors import BadData, ConditionFailed, CorruptArtefact, StorageUnavailable
from pneumo_tasks.settings import LABELS
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.numbered import Numbered, read_row, sum_up
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

MOST_BYTES, MOST_ROWS = 32 * 2**20, 200_000
REQUIRED = ("version", "study", "probability")
OPTIONAL = ("patient", "site", "diagnosis")
_ATTEMPTS = 50
_NUMBERED = Numbered("the imported outcomes", layout.outcomes, partial(layout.sum_of, layout.OUTCOME_SUMS))
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class Outcome(BaseModel):
    """One study; ``diagnosis`` is a label, or "" while it is not known. ``probability`` is from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    study: str
    probability: float = Field(ge=0, le=1)
    patient: str = ""
    site: str = ""
    diagnosis: str = ""

    @property
    def person(self) -> str:
        """Whose films count together: the patient, or the study where no patient is stated."""
        return self.patient or f"study {self.study}"


class Import(BaseModel):
    """outcomes/<seq>.json: the rows of one file, when they arrived by our clock, and who sent them."""

    model_config = ConfigDict(frozen=True)

    seq: int
    arrived_at: str
    by: str
    sha256: str
    rows: tuple[Outcome, ...]

    @property
    def week(self) -> str:
        """The ISO week of the arrival, such as 2026-W48."""
        year, week, _ = datetime.fromisoformat(self.arrived_at).isocalendar()
        return f"{year}-W{week:02d}"


def parse_outcomes(data: bytes, where: str) -> list[Outcome]:
    """The rows of a CSV file with the columns version, study, probability[, patient, site, diagnosis].

    Raises BadData with the line and the column of the first fault; never with a cell's content, for that
    may be a patient's.
    """
    if len(data) > MOST_BYTES:
        raise BadData("the file is too large", where=where, found=f"{len(data)} bytes, limit {MOST_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData("the file is not UTF-8", where=where, found=f"byte {error.start}") from None
    lines = csv.reader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")))
    rows: list[Outcome] = []
    try:
        columns = [name.strip().lower() for name in next(lines, [])]
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise BadData(f"no column {missing[0]!r}", where=f"{where}, line 1", do="See docs/monitoring.md.")
        for cells in lines:
            if any(cell.strip() for cell in cells):
                rows.append(
                    _outcome(dict(zip(columns, cells, strict=False)), f"{where}, line {lines.line_num}")
                )
            if len(rows) > MOST_ROWS:
                raise BadData("the file has too many rows", where=where, found=f"limit {MOST_ROWS}")
    except csv.Error as error:
        raise BadData(
            "the file is no table", where=f"{where}, line {lines.line_num}", found=str(error)
        ) from None
    if not rows:
        raise BadData("the file holds no outcome", where=where)
    return rows


def _outcome(cells: dict[str, str], where: str) -> Outcome:
    given = {name: cells.get(name, "").strip() for name in (*REQUIRED, *OPTIONAL)}
    try:
        probability = float(given.pop("probability"))
    except ValueError:
        probability = math.nan
    if not 0 <= probability <= 1:
        raise BadData("a probability from 0 to 1 is missing", where=f"{where}, column probability")
    given["diagnosis"] = given["diagnosis"].upper()
    if given["diagnosis"] not in ("", *LABELS):
        raise BadData(
            "an unknown diagnosis", where=f"{where}, column diagnosis", do=f"Use {', '.join(LABELS)}."
        )
    for name in ("version", "study"):
        if not _NAME.fullmatch(given[name]):
            raise BadData(
                "an empty or too long name", where=f"{where}, column {name}", found="limit 200 letters"
            )
    try:
        return Outcome(probability=probability, **given)
    except ValidationError:
        raise BadData("a row that is no outcome", where=where) from None


def import_outcomes(store: ObjectStore, rows: list[Outcome], by: str) -> Import:
    """Write the rows behind all earlier imports; the same rows a second time change nothing."""
    body = [row.model_dump() for row in rows]
    digest = sha256(canonical_json(body))
    for _ in range(_ATTEMPTS):
        known = read_imports(store)
        for earlier in known:
            if earlier.sha256 == digest:
                return earlier
        arrived = datetime.now(UTC).isoformat(timespec="seconds")
        new = Import(seq=len(known) + 1, arrived_at=arrived, by=by, sha256=digest, rows=tuple(rows))
        try:
            store.put_if_absent(layout.outcomes(new.seq), canonical_json(new.model_dump(mode="json")))
        except ConditionFailed:
            continue  # somebody else imported meanwhile: this one comes behind it
        sum_up(store, _NUMBERED, new.seq)
        return new
    raise StorageUnavailable(
        "the outcomes could not be written",
        where=layout.OUTCOMES,
        found=f"{_ATTEMPTS} attempts",
        do="Try again.",
    )


def read_imports(store: ObjectStore) -> list[Import]:
    """Every import in its order; CorruptArtefact where a number is missing or rows were changed."""
    return list(_checked(store))


def _checked(store: ObjectStore) -> Iterator[Import]:
    documents = read_row(store, _NUMBERED, layout.OUTCOMES, layout.OUTCOME_SUMS)
    for seq, document in enumerate(documents, 1):
        with understood(layout.outcomes(seq)):
            found = Import.model_validate(document)
            rows = canonical_json([row.model_dump() for row in found.rows])
        if found.seq != seq or found.sha256 != sha256(rows):
            raise CorruptArtefact("an import of outcomes was changed", where=layout.outcomes(seq))
        yield found
