"""Tables that people send: CSV of any dialect, read line by line, with errors that name the line."""

import csv
import io
import re
from collections.abc import Iterator, Mapping

import pandas as pd

from pneumo_tasks.errors import BadBatch

MAX_ROWS = 500_000
MAX_COLUMNS = 1000
COLUMNS = "columns"  # the key of the attribute that holds all titles, also of columns that are not kept
_ENCODINGS = ("utf-8", "cp1252")


def read_cells(data: bytes, name: str, where: str, titles: Mapping[str, str]) -> pd.DataFrame:
    """The cells of the columns that ``titles`` knows, as they are, in its order; no other is kept.

    ``titles`` maps the letters and digits of a title to the column. Delimiter , ; tab or |, any line ends;
    UTF-8 (with or without mark), UTF-16 or Windows-1252. BadBatch names the line or the column.
    """
    text, delimiter = _delimited(_decoded(data, name, where))
    lines = _lines(text, delimiter, name, where)
    _, header = next(lines, (1, [""]))
    columns = [_meaning(title, titles) for title in header]
    if not any(columns):
        raise BadBatch(f"{name} cannot be read as a table", where=where, found="it is empty")
    kept = [column for column in dict.fromkeys(titles.values()) if column in columns]
    if twice := [column for column in kept if columns.count(column) > 1]:
        raise BadBatch(f"{name} has the column {twice[0]!r} twice", where=f"{where}, line 1")
    if len(columns) > MAX_COLUMNS:
        found = f"{len(columns)} columns, limit {MAX_COLUMNS}"
        raise BadBatch(f"{name} has too many columns", where=f"{where}, line 1", found=found)
    places = [columns.index(column) for column in kept]
    cells: list[list[str]] = []
    for number, line in lines:
        if any(cell.strip() for cell in line[len(columns) :]):
            found = f"{len(line)} cells, the first line has {len(columns)}"
            do = "Put a cell that holds the delimiter in quotes."
            raise BadBatch(
                f"a line of {name} is too long", where=f"{where}, line {number}", found=found, do=do
            )
        if len(cells) == MAX_ROWS:
            raise BadBatch(f"{name} lists too many images", where=where, found=f"limit {MAX_ROWS}")
        cells.append([line[at] if at < len(line) else "" for at in places])
    if not cells:
        raise BadBatch(f"{name} lists no image", where=f"{where}, line 2", do="List each file in a row.")
    frame = pd.DataFrame(cells, columns=kept, dtype=object)
    frame.attrs[COLUMNS] = columns
    return frame


def _lines(text: str, delimiter: str, name: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Each line that says anything, with its number; lines of commas are what spreadsheets leave."""
    spaced = f"{delimiter} " in text.split("\n", 1)[0]  # else a space belongs to the name behind it
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=spaced, strict=True)
    try:
        for line in reader:
            if any(cell.strip() for cell in line):
                yield reader.line_num, line
    except csv.Error as error:
        found = "EOF inside string" if "unexpected end" in str(error) else str(error)
        raise BadBatch(
            f"{name} cannot be read as a table",
            where=f"{where}, line {reader.line_num}",
            found=found,
            do="Correct that line, or a quote before it that is never closed.",
        ) from None


def _decoded(data: bytes, name: str, where: str) -> str:
    """The text with plain line ends. Lines that people pasted together may each have their own encoding."""
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = data.decode("utf-16")
        else:
            text = "".join(map(_decoded_line, data.splitlines(keepends=True)))
    except UnicodeError:
        text = "\0"
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")
    if "\0" in text:
        line = data[: data.find(b"\0")].count(b"\n") + 1 if b"\0" in data else 1
        raise BadBatch(
            f"{name} is not text", where=f"{where}, line {line}", do="Save it as CSV with UTF-8 encoding."
        )
    return text


def _decoded_line(line: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return line.decode(encoding)
        except UnicodeError:
            continue
    return line.decode("latin-1")


def _delimited(text: str) -> tuple[str, str]:
    """The table, and its delimiter: the one that its first line names (``sep=;``) or holds most of."""
    text = text.lstrip("\ufeff \n")
    if told := re.match(r"sep=(.)\n", text, re.IGNORECASE):
        return text[told.end() :], told[1]
    header = text.split("\n", 1)[0]
    return text, max(",;\t|", key=header.count)


def _meaning(title: str, titles: Mapping[str, str]) -> str:
    """The column that a title means: PatientID, Patient ID and patient-id are patient_id."""
    meant = re.sub(r"[^a-z0-9]", "", title.lower())
    return titles.get(meant, title.strip().lower())
