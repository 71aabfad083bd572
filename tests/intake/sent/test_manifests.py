"""images.csv in any dialect, and errors that name the line and the column."""

import unicodedata

import pytest

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.sent.ids import program_fault
from pneumo_tasks.intake.sent.manifests import MAX_PATH, path_fault, read_manifest

ROW = ["a.jpeg", "NORMAL", "7"]


@pytest.mark.parametrize(
    "data",
    [
        b"path,label,patient_id\na.jpeg,NORMAL,7\n",
        b"sep=;\r\npath;label;patient_id\r\na.jpeg;NORMAL;7\r\n",
        b"\n\npath,label,patient_id,,\n\na.jpeg,NORMAL,7,,\n",
        b"path,label,patient_id\na.jpeg,NORMAL,7,,\n",
        b'path,label,patient_id\na.jpeg,NORMAL,"=""7"""\n',
        b"path,label,patient_id\na.jpeg,NORMAL,'7\n",
        b'"path\n",label,"patient\nid"\na.jpeg,NORMAL,7\n',
        b"\xef\xbb\xbf\xef\xbb\xbfpath,label,patient_id\na.jpeg,NORMAL,7\n",
        b"path\tlabel\tpatient_id\na.jpeg\tNORMAL\t7,0\n",
        b"\xef\xbb\xbfpath;label;patient_id\r\na.jpeg;NORMAL;7\r\n",
        b"PATH\tLabel\tPatient ID\na.jpeg\tNORMAL\t7",
        b"path|label|patient_id\na.jpeg|NORMAL|7",
        'path,label,patient_id\n"a.jpeg", NORMAL ,7\n'.encode("utf-16"),
        b"path,label,patient_id\n.\\a.jpeg,NORMAL,7\n",
        b"birthday,path,label,patient_id\n2020-01-01,a.jpeg,NORMAL,7\n",
        b"path,label,patient_id\ra.jpeg,NORMAL,7\r",
        b"path,label,patient_id\na.jpeg,NORMAL,7\n,,\n , ,\n",
        b"path,label,PatientID\na.jpeg,NORMAL,7\n",
        b"Path,LABEL,patient-id\na.jpeg,NORMAL,7.0\n",
    ],
    ids=[
        "plain",
        "sep",
        "trailing-columns",
        "trailing-cells",
        "formula",
        "apostrophe",
        "title-of-two-lines",
        "two-marks",
        "decimal-comma",
        "mark-semicolon-crlf",
        "tab-capitals",
        "pipe",
        "utf-16",
        "windows-path",
        "more-columns",
        "carriage-returns",
        "blank-rows",
        "camel-case",
        "decimal",
    ],
)
def test_any_dialect_reads_the_same(data: bytes) -> None:
    rows = read_manifest(data, "images.csv")
    assert list(rows.columns) == ["path", "label", "patient_id"]
    assert rows.to_numpy().tolist() == [ROW]


@pytest.mark.parametrize("word", ["NA", "n/a", "NaN", "null", "None", "?", "-", "<NA>"])
def test_a_word_for_missing_is_missing(word: str) -> None:
    rows = read_manifest(f"path,label,patient_id,site\na.jpeg,NORMAL,{word},{word}\n".encode(), "images.csv")
    assert rows.loc[0, ["patient_id", "site"]].tolist() == ["", ""]


def test_decimals_are_dropped_where_all_of_them_are_zero_and_kept_where_they_mean_something() -> None:
    table = "path,label,patient_id\na,NORMAL,{}\nb,NORMAL,{}\nc,NORMAL,{}\n"
    for given, found in ((("7", "7.0", "x1"), ["7", "7", "x1"]), (("7.0", "7.1", "8"), ["7.0", "7.1", "8"])):
        rows = read_manifest(table.format(*given).encode(), "images.csv")
        assert rows["patient_id"].tolist() == found


def test_a_path_is_never_stripped_and_has_one_unicode_form() -> None:
    decomposed = unicodedata.normalize("NFD", "Müller .jpeg")
    rows = read_manifest(f'path,label\n"{decomposed}",NORMAL\n'.encode(), "images.csv")
    assert rows["path"][0] == "Müller .jpeg"


@pytest.mark.parametrize(
    "given",
    [
        *("1.23457E+11", "1,23457E+11", "1e5", "1e-05", "#REF!", "#N/A!", "#NAME?", "02-Jan", "Mar-05"),
        *("5. Mrz", "2024-01-02 00:00:00", "12345678901234567890.0", "M\ufffdller"),
    ],
)
def test_an_id_that_a_spreadsheet_destroyed_is_a_fault(given: str) -> None:
    assert program_fault(given)


@pytest.mark.parametrize(
    "given", ["7", "1E", "E12", "12-e+5x", "", "P-0012", "MAR12", "Mary-05", "2024-01-02", "7.5"]
)
def test_an_ordinary_id_is_none(given: str) -> None:
    assert program_fault(given) is None


def test_names_beyond_ascii_come_through_in_utf_8_and_windows_1252() -> None:
    for encoding in ("utf-8", "cp1252"):
        rows = read_manifest("path,label\nMüller.jpeg,NORMAL\n".encode(encoding), "images.csv")
        assert rows["path"][0] == "Müller.jpeg"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read as a table"),
        (b"path,patient_id\na.jpeg,1\n", "no column 'label'"),
        (b"file,label\na.jpeg,NORMAL\n", "no column 'path'"),
        (b"path,label\n", "line 2"),
        (b"path,label,label\na,b,c\n", "cannot be read|'label' twice"),
        (b"path,label\na.jpeg,NORMAL\nb.jpeg,NORMAL,1,2,3\n", "line 3|Length of header"),
        (b'path,label\n"a.jpeg,NORMAL\nb.jpeg,NORMAL\n', "EOF inside string"),
        (b"path,label\na.jpeg,NORMAL\nb\0.jpeg,NORMAL\n", "line 3"),
        (b"," * 100_000 + b"\n", "it is empty"),
        (b'path,label\n"' + b"a" * 200_000 + b'",NORMAL\n', "field larger"),
        (b'path,label\n"a"b,NORMAL\n', "line 2"),
        (b'"path\n",path,label\na,b,c\n', "'path' twice"),
        (b"PatientID,patient_id,path,label\n1,2,a,b\n", "'patient_id' twice"),
        ("path,label\na,b\n".encode("utf-16-le"), "is not text"),
        (b"\xff\xfea", "is not text"),
    ],
    ids=[
        "empty",
        "no-label",
        "no-path",
        "no-rows",
        "twice",
        "ragged",
        "open-quote",
        "nul",
        "wide",
        "long",
        "quote",
        "title",
        "id-twice",
        "no-mark",
        "half-a-letter",
    ],
)
def test_a_bad_table_is_refused_by_line_or_column(data: bytes, words: str) -> None:
    with pytest.raises(BadBatch, match=words):
        read_manifest(data, "images.csv")


@pytest.mark.parametrize("path", ["a.jpeg", "NORMAL/a b.jpeg", "ä/é.png", "..a/b..jpeg"])
def test_plain_paths_are_in_order(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    "path", ["", "/a", "..", "a/../b", "./a", "a//b", "C:/a", "a\u202eb", "a\0b", "x" * (MAX_PATH + 1)]
)
def test_other_paths_are_not(path: str) -> None:
    assert path_fault(path)
