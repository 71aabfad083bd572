"""The heat map of the matrix: which cell a version has of a data set, and how warm it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pneumo_tasks.monitoring.matrix import Cell, DataSet, Matrix, MatrixRow

MOST_VERSIONS, MOST_DATA = 30, 40
_COLDEST, _STEPS = 0.8, 8  # below this every figure is as cold as a cell can be


@dataclass(frozen=True)
class HeatRow:
    """A version, and for each column its cell or None; the text of a cell says what its colour does."""

    row: "MatrixRow"
    cells: "list[tuple[DataSet, Cell | None]]"


@dataclass(frozen=True)
class HeatTable:
    """What a page shows: the newest versions and data sets, and how many of each there are."""

    rows: list[HeatRow]
    columns: "list[DataSet]"
    versions: int
    data: int


def heat_of(matrix: "Matrix") -> HeatTable:
    """The newest version on top; the newest batches to the right, then the test sets."""
    batches = [column for column in matrix.data if column.kind == "batch"]
    tests = [column for column in matrix.data if column.kind != "batch"]
    columns = [*batches[-MOST_DATA:], *tests[-MOST_DATA:]]
    rows = []
    for row in reversed(matrix.versions[-MOST_VERSIONS:]):
        cells = {(cell.data, cell.evidence == "test set"): cell for cell in row.cells}
        shown = [(column, cells.get((column.name, column.kind != "batch"))) for column in columns]
        rows.append(HeatRow(row, shown))
    return HeatTable(rows, columns, len(matrix.versions), len(matrix.data))


def warmth(value: float | None) -> int:
    """0 (coldest) to 8; a figure that is not there is as cold as the coldest."""
    if value is None:
        return 0
    return max(0, min(_STEPS, round((value - _COLDEST) / (1 - _COLDEST) * _STEPS)))
