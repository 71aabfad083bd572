"""The matrix: every kept version on every data set that it was not trained on.

A cell is of *unseen* films (scored before any training met their patients), of *held-out* films (the version
learned from the batch, and each film was scored by a fit that its patient had no part in), of *later* films
(the version never learned from the batch, and was asked afterwards), or of a locked test set, as an
evaluation measured it. A matrix scores nothing: it reads what stages have kept.
"""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.evaluation.figures.confidence import PatientShare
from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.unseen.unseen_figures import recall_of, specificity_of
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.monitoring.measured import MeasuredVersion, measured_versions
from pneumo_tasks.monitoring.updates import UpdateMeasures, update_measures
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.numbered import append_changed, last_document
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

Evidence = Literal["unseen", "later", "held out", "mixed", "test set"]


class MatrixFigure(BaseModel):
    """A share with its bounds; those of a test set are of one look, None where nobody stated any."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    low: float | None
    high: float | None


class Cell(BaseModel):
    """One version on one data set. ``patients`` is None for a test set that another run has measured."""

    model_config = ConfigDict(frozen=True)

    data: str
    evidence: Evidence
    films: int
    patients: int | None
    recall: MatrixFigure
    specificity: MatrixFigure


class MatrixRow(BaseModel):
    """One version; ``registered``: it was promoted once. ``update``: what it changed; None for the first."""

    model_config = ConfigDict(frozen=True)

    version: str
    run_id: str
    made_at: str
    registered: bool
    champion: bool
    cells: list[Cell]
    update: UpdateMeasures | None


class DataSet(BaseModel):
    """A column: an accepted batch in the order of acceptance, or a version of the test set."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["batch", "test set"]
    films: int


class Matrix(BaseModel):
    """``withdrawn``: scores of films that count no more; ``corrected``: of films with another label now."""

    model_config = ConfigDict(frozen=True)

    made_at: str
    made_of: str = ""
    data: list[DataSet]
    versions: list[MatrixRow]
    withdrawn: int
    corrected: int


def measure_matrix(settings: Settings, store: ObjectStore) -> Matrix:
    """The matrix by what is accepted and labelled today; written behind the former ones where it differs.

    Where nothing that it is made of has changed it is the last one, at the cost of a few listings.
    """
    former, made_of = read_matrix(store), _made_of(settings, store)
    if former is not None and former.made_of == made_of:
        return former
    accepted = accepted_images(store, settings.patient_site)
    found = matrix_of(measured_versions(settings, store, accepted), accepted, made_of)
    document = found.model_dump(mode="json")
    return Matrix.model_validate(
        append_changed(store, layout.MATRICES, layout.matrix, document, but="made_at")
    )


def read_matrix(store: ObjectStore) -> Matrix | None:
    """The last matrix that was written; None before the first. One listing and one object."""
    _, document = last_document(store, layout.MATRICES, layout.matrix)
    return None if document is None else Matrix.model_validate(document)


def _made_of(settings: Settings, store: ObjectStore) -> str:
    """A digest over the names of verdicts, withdrawals, versions, tables and runs, and over the pointer."""
    folders = (
        layout.catalogue_entry(1).rpartition("/")[0] + "/",
        layout.WITHDRAWALS,
        layout.UNSEEN,
        layout.LATER,
    )
    listed = [listed.key for folder in folders for listed in store.list_objects(folder)]
    listed += [*store.list_folders(layout.MODELS), *store.list_folders(layout.RUNS)]
    pointer, etag = read_pointer(store)
    facts = [sorted(listed), pointer and etag, settings.patient_site, settings.unseen_models]
    return sha256(canonical_json(facts))[:16]


def matrix_of(versions: Sequence[MeasuredVersion], accepted: pd.DataFrame, made_of: str = "") -> Matrix:
    """Pure: the same scores and the same accepted images give the same cells."""
    updates = update_measures(versions)
    rows = [
        MatrixRow(
            version=one.version,
            run_id=one.run_id,
            made_at=one.made_at,
            registered=one.registered,
            champion=one.champion,
            cells=[*_batch_cells(one), *_test_cells(one, versions)],
            update=updates[one.version],
        )
        for one in versions
    ]
    return Matrix(
        made_at=journal.now(),
        made_of=made_of,
        data=_columns(rows, accepted),
        versions=rows,
        withdrawn=sum(one.withdrawn for one in versions),
        corrected=sum(one.corrected for one in versions),
    )


def _batch_cells(one: MeasuredVersion) -> list[Cell]:
    cells = []
    for batch_id, films in one.films.groupby("batch_id", sort=True):
        kinds = set(films["evidence"])
        cells.append(
            Cell(
                data=str(batch_id),
                evidence="mixed" if len(kinds) > 1 else kinds.pop(),
                films=len(films),
                patients=int(films["patient"].nunique()),
                recall=_figure(recall_of(films, one.threshold)),
                specificity=_figure(specificity_of(films, one.threshold)),
            )
        )
    return cells


def _test_cells(one: MeasuredVersion, versions: Sequence[MeasuredVersion]) -> list[Cell]:
    """The test sets that evaluations have asked the version about: its own, and those of later candidates."""
    own = one.evaluation
    found = {
        own.test_set_id: Cell(
            data=own.test_set_id,
            evidence="test set",
            films=own.test.images,
            patients=own.patients,
            recall=_test_figure(own.test.recall, own.intervals.get("recall")),
            specificity=_test_figure(own.test.specificity, own.intervals.get("specificity")),
        )
    }
    for later in versions:
        evaluation = later.evaluation
        for other in (evaluation.champion, evaluation.original, *evaluation.rivals):
            if other is not None and other.version == one.version:
                cell = Cell(
                    data=evaluation.test_set_id,
                    evidence="test set",
                    films=other.test.images,
                    patients=None,
                    recall=_test_figure(other.test.recall, None),
                    specificity=_test_figure(other.test.specificity, None),
                )
                found.setdefault(cell.data, cell)
    return list(found.values())


def _columns(rows: Sequence[MatrixRow], accepted: pd.DataFrame) -> list[DataSet]:
    """Every batch with a cell, in the order of acceptance; then the test sets, oldest first."""
    wanted = {cell.data for row in rows for cell in row.cells if cell.evidence != "test set"}
    counted = accepted[accepted["batch_id"].isin(wanted)].groupby("batch_id")
    order = counted["created_at"].min().sort_values()
    batches = [DataSet(name=str(name), kind="batch", films=int(counted.size()[name])) for name in order.index]
    tests: dict[str, int] = {}
    for row in rows:
        for cell in row.cells:
            if cell.evidence == "test set":
                tests[cell.data] = max(tests.get(cell.data, 0), cell.films)
    return batches + [DataSet(name=name, kind="test set", films=films) for name, films in tests.items()]


def _figure(share: PatientShare) -> MatrixFigure:
    known = share.value is not None
    return MatrixFigure(
        value=share.value, low=share.low if known else None, high=share.high if known else None
    )


def _test_figure(value: float | None, interval: Interval | None) -> MatrixFigure:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return MatrixFigure(value=value, low=low, high=high)
