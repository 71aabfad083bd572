"""What no spelling of a batch may change, and what no bytes may do; by hypothesis."""

import os
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pneumo_tasks.errors import BadBatch, BadData
from pneumo_tasks.intake.checking import check_path
from pneumo_tasks.intake.containers.disk import Disk
from pneumo_tasks.intake.containers.proofs import read_member
from pneumo_tasks.intake.sent.contents import contents_on_disk
from pneumo_tasks.intake.sent.ids import repaired
from pneumo_tasks.intake.sent.manifests import read_manifest
from pneumo_tasks.intake.sent.patients import canonical
from pneumo_tasks.intake.sent.rows import rows_of
from pneumo_tasks.settings import Settings
from tests.intake.films import film, good_files, jpeg
from tests.intake.packing import Files, foldered, raw_zip, tarred, zipped

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
QUICK = settings(max_examples=60, suppress_health_check=SLOW)
LONG = settings(max_examples=int(os.environ.get("PNEUMO_LONG_FUZZ") or 1) * 2000, suppress_health_check=SLOW)
NAMES = ("NORMAL/Müller 1.jpeg", "NORMAL/IM-2.jpeg", "PNEUMONIA/é/person3_virus_1.jpeg", "PNEUMONIA/4.jpeg")
LITTER = ("__MACOSX/NORMAL/._IM-2.jpeg", ".DS_Store", "PNEUMONIA/Thumbs.db")
LINES = [f"{name},{name.split('/')[0]},{at % 3}" for at, name in enumerate(NAMES)]

Seen = tuple[list[list[Any]], dict[str, bytes]]


def seen(path: Path) -> Seen:
    """All that a batch is judged by: its rows, and the bytes under each name."""
    contents = contents_on_disk(path, "train")
    rows = rows_of(Disk(), contents)
    rows["file"] = [file.lower() for file in rows["file"]]  # a suffix may be of either case

    def read(source: Any) -> bytes:
        return Disk().read(source.key) if source.offset is None else read_member(Disk(), source, 10**6)

    found = {name.lower(): read(source) for name, source in contents.files.items()}
    return rows.astype(object).where(rows.notna(), None).to_numpy().tolist(), found


def packed(kind: str, at: Path, files: Files) -> Path:
    if kind == "folder":
        return foldered(at, files)
    return zipped(at.with_suffix(".zip"), files) if kind == "zip" else tarred(at.with_suffix(".tar"), files)


@QUICK
@given(
    kind=st.sampled_from(["folder", "zip", "tar"]),
    order=st.permutations(range(len(NAMES) + len(LITTER))),
    lines=st.permutations(LINES),
    root=st.sampled_from(["", "./", "week47/", "a/b/", "train/", "Müller/", "./NFD é/"]),
    form=st.sampled_from(["NFC", "NFD"]),
    table_form=st.sampled_from(["NFC", "NFD"]),
    back=st.booleans(),
    shouted=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    title=st.sampled_from(["", "images.csv", "Images.CSV"]),
)
def test_a_batch_is_what_it_is_however_it_is_packed(
    kind: str, order: list[int], lines: list[str], root: str, form: Any, table_form: Any, back: bool,
    shouted: bool, end: str, title: str,
) -> None:  # fmt: skip
    data = {name: f"bytes of {name}".encode() for name in NAMES}
    table = "\n".join(["path,label,patient_id", *LINES, ""])
    files = list(data.items()) + [(name, b"litter") for name in LITTER]

    def spelled(name: str) -> str:
        if shouted and name in data:
            name = name.removesuffix(".jpeg") + ".JPEG"
        name = unicodedata.normalize(form, root + name)
        return name.replace("/", "\\") if back and kind != "folder" else name

    given_files = {spelled(files[at][0]): files[at][1] for at in order}
    if title:
        said = unicodedata.normalize(table_form, end.join(["path,label,patient_id", *lines, ""]))
        given_files[spelled(title)] = said.encode()
    with TemporaryDirectory() as folder:
        plain = foldered(
            Path(folder) / "plain", {**data, **({"images.csv": table.encode()} if title else {})}
        )
        assert seen(packed(kind, Path(folder) / "b", given_files)) == seen(plain)


CELL = st.text(st.characters(codec="utf-8"), max_size=12)
TABLE = st.lists(st.lists(CELL, max_size=5), max_size=5).map(
    lambda rows: "\n".join(",".join(row) for row in rows)
)
STARTS = st.sampled_from(
    ["", "path,label\n", "path,label,patient_id,view\n", "sep=;\npath;label\n", "\ufeff"]
)
TABLES = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda start, rest, code: (start + rest).encode(code),
        STARTS,
        st.one_of(TABLE, CELL),
        st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"]),
    ),
)


def _read_table(data: bytes) -> None:
    try:
        rows = read_manifest(data, "images.csv")
    except BadBatch as error:
        assert "images.csv" in str(error)  # noqa: PT017
        return
    assert len(rows)
    assert not rows.isna().any(axis=None)


@settings(QUICK, max_examples=300)
@given(TABLES)
def test_any_table_is_rows_or_a_sentence(data: bytes) -> None:
    _read_table(data)


def _archive(kind: str, folder: Path) -> bytearray:
    files = {name: f"bytes of {name}".encode() * 9 for name in NAMES}
    if kind == "raw.zip":
        return bytearray(
            raw_zip(folder / kind, {name.encode(): d for name, d in files.items()}, 1 << 11).read_bytes()
        )
    return bytearray((zipped if kind == "b.zip" else tarred)(folder / kind, files).read_bytes())


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = draw(st.sampled_from(["raw.zip", "b.zip", "b.tar"]))
    with TemporaryDirectory() as folder:
        data = _archive(kind, Path(folder))
    for _ in range(draw(st.integers(1, 5))):
        edge = min(700, len(data) - 1)
        at = draw(st.one_of(st.integers(0, edge), st.integers(len(data) - 1 - edge, len(data) - 1)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
        if not data:
            break
    return kind, bytes(data)


def _read_archive(kind: str, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / kind
        path.write_bytes(data)
        try:
            contents = contents_on_disk(path, "train")
            rows_of(Disk(), contents)
        except BadBatch:
            return
        for source in contents.files.values():
            if source.fault is None:
                try:
                    assert len(read_member(Disk(), source, 10_000)) <= 10_001
                except BadData:
                    continue


@settings(QUICK, max_examples=150)
@given(damaged())
def test_any_archive_is_films_or_a_sentence(given_: tuple[str, bytes]) -> None:
    _read_archive(*given_)


ODD = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), max_size=70)


@settings(QUICK, max_examples=3)
@given(st.lists(st.tuples(ODD, ODD, ODD, ODD), min_size=1, max_size=4))
def test_no_cell_stops_the_check(cells: list[tuple[str, str, str, str]]) -> None:
    _check_cells(cells)


def _check_cells(cells: list[tuple[str, str, str, str]]) -> None:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    table = "\n".join(["path,label,patient_id,view", "a.jpeg,NORMAL,1,AP", *quoted])
    with TemporaryDirectory() as folder:
        path = foldered(Path(folder) / "b", {"a.jpeg": jpeg(film(1)), "images.csv": table.encode()})
        checked = check_path(Settings(), path, "train")
        page = checked.datasheet(Settings())
    assert checked.answer.state in ("accepted", "rejected")
    assert "<script" not in page


@settings(QUICK, max_examples=200)
@given(
    st.integers(1, 10**9),
    st.sampled_from(["{}", "0{}", " {} ", "{}.0", "{},00", '="{}"', "'{}", "'00{}"]),
)
def test_equal_patients_are_equal_whatever_program_wrote_them(number: int, spelled: str) -> None:
    (found,) = repaired([spelled.format(number).strip()])
    assert canonical(found) == str(number)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_the_whole_check_says_the_same_of_every_container(kind: str, tmp_path: Path) -> None:
    """Judged to the end, with films that break rules of each kind: alone, among each other, by row."""
    films = {
        **good_files(4), "NORMAL/IM-0900-0001.jpeg": b"", "COVID/x.jpeg": jpeg(film(7)),
        "NORMAL/IM-0901-0001.jpeg": jpeg(film(1)), "NORMAL/IM-0902-0001.jpeg": jpeg(film(0)),
    }  # fmt: skip
    plain = check_path(Settings(), foldered(tmp_path / "plain", films), "train").answer
    turned = {f"week47/{name}": films[name] for name in sorted(films, reverse=True)}
    assert check_path(Settings(), packed(kind, tmp_path / "b", turned), "train").answer == plain
    assert {file.rule for file in plain.files if file.rule} >= {"bytes", "label-known", "one-label"}


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PNEUMO_LONG_FUZZ"), reason="set PNEUMO_LONG_FUZZ=1: some minutes")
@LONG
@given(table=TABLES, archive=damaged())
def test_bytes_end_in_words_for_long(table: bytes, archive: tuple[str, bytes]) -> None:
    _read_table(table)
    _read_archive(*archive)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PNEUMO_LONG_FUZZ"), reason="set PNEUMO_LONG_FUZZ=1: some minutes")
@settings(LONG, max_examples=100)
@given(st.lists(st.tuples(ODD, ODD, ODD, ODD), min_size=1, max_size=6))
def test_no_cell_stops_the_check_for_long(cells: list[tuple[str, str, str, str]]) -> None:
    _check_cells(cells)
