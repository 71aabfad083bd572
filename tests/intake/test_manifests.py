"""images.csv in any dialect, and errors that name the line and the column."""

import pytest

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.manifests import MAX_PATH, path_fault, read_manifest

ROW = ["a.jpeg", "NORMAL", "7"]


@pytest.mark.parametrize(
    "data",
    [
        b"path,label,patient_id\na.jpeg,NORMAL,7\n",
        b"\xef\xbb\xbfpath;label;patient_id\r\na.jpeg;NORMAL;7\r\n",
        b"PATH\tLabel\tPatient ID\na.jpeg\tNORMAL\t7",
        b"path|label|patient_id\na.jpeg|NORMAL|7",
        'path,label,patient_id\n"a.jpeg", NORMAL ,7\n'.encode("utf-16"),
        b"path,label,patient_id\n.\\a.jpeg,NORMAL,7\n",
        b"birthday,path,label,patient_id\n2020-01-01,a.jpeg,NORMAL,7\n",
    ],
    ids=["plain", "mark-semicolon-crlf", "tab-capitals", "pipe", "utf-16", "windows-path", "more-columns"],
)
def test_any_dialect_reads_the_same(data: bytes) -> None:
    rows = read_manifest(data, "images.csv")
    assert list(rows.columns) == ["path", "label", "patient_id"]
    assert rows.to_numpy().tolist() == [ROW]


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
        (b"," * 100_000 + b"\n", "first line"),
    ],
    ids=["empty", "no-label", "no-path", "no-rows", "twice", "ragged", "open-quote", "nul", "wide"],
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
