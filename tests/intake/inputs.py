"""Batches that hospitals really send, each with what has to become of it."""

import tarfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.intake.dicoms import dicom
from tests.intake.films import film, good_files, jpeg
from tests.intake.packing import Files, foldered, in_latin_1, raw_zip, tarred, unicode_path, zipped

GOOD = good_files(6, start=500)
PLAIN = {f"f{n}.jpeg": jpeg(film(500 + n)) for n in range(6)}
HEAD = ["path", "label", "patient_id"]


@dataclass(frozen=True)
class Given:
    """``pack`` writes the input and returns it; ``good`` of its rows are accepted, others break ``rules``."""

    pack: Callable[[Path], Path]
    good: int = 6
    rules: tuple[str, ...] = ()
    patients: int = 6
    state: str = "accepted"
    says: str = ""


def table(
    ids: list[str] | None = None, names: list[str] | None = None, end: str = "\n", head: list[str] = HEAD,
    by: str = ",",
) -> str:  # fmt: skip
    ids, names = ids or [str(10 + n) for n in range(6)], names or list(PLAIN)
    labels = ["PNEUMONIA" if n % 2 else "NORMAL" for n in range(6)]
    return end.join(by.join(row) for row in [head, *zip(names, labels, ids, strict=True)]) + end


def csv(
    text: str | bytes, films: Files = PLAIN, name: str = "images.csv", **expected: object
) -> Given:  # fmt: skip
    data = text.encode() if isinstance(text, str) else text
    return Given(lambda at: foldered(at, {**films, name: data}), **expected)  # type: ignore[arg-type]


def refused(given: Given, says: str) -> Given:
    return Given(given.pack, 0, (), 0, "refused", says)


def in_zip(files: Files, **expected: object) -> Given:
    return Given(lambda at: zipped(at.with_suffix(".zip"), files), **expected)  # type: ignore[arg-type]


def in_tar(
    files: Files, encoding: str = "utf-8", style: int = tarfile.GNU_FORMAT, **expected: object
) -> Given:
    return Given(lambda at: tarred(at.with_suffix(".tar"), files, encoding, style), **expected)  # type: ignore[arg-type]


def by_hand(
    files: dict[bytes, bytes], flags: int = 0, extra: dict[bytes, bytes] | None = None, **expected: object
) -> Given:
    return Given(lambda at: raw_zip(at.with_suffix(".zip"), files, flags, extra), **expected)  # type: ignore[arg-type]


def below(root: str, files: Files) -> Files:
    return {f"{root}/{name}": data for name, data in files.items()}


def _tables() -> dict[str, Given]:
    umlauts = [f"Müller{n}.jpeg" for n in range(6)]
    decomposed = [unicodedata.normalize("NFD", name) for name in umlauts]
    composed_files, decomposed_files = (
        dict(zip(n, PLAIN.values(), strict=True)) for n in (umlauts, decomposed)
    )
    lost = {"good": 4, "patients": 4, "rules": ("patient-known",) * 2}
    nobody = {"good": 0, "patients": 0, "state": "rejected", "rules": ("patient-known",) * 6}
    return {
        "carriage returns": csv(table(end="\r")),
        "crlf": csv(table(end="\r\n")),
        "mixed line ends": csv(table().replace("\n", "\r", 2).replace("\n", "\r\n", 1)),
        "no last line end": csv(table().rstrip("\n")),
        "blank rows": csv(table() + ",,\n" * 20 + "\n\n"),
        "capital name": csv(table(), name="Images.csv"),
        "shouted name": csv(table(), name="IMAGES.CSV"),
        "utf-16": csv(table().encode("utf-16")),
        "mark and semicolons": csv("\ufeff" + table(by=";", end="\r\n")),
        "tabs": csv(table(by="\t")),
        "sep line": csv("sep=;\n" + table(by=";")),
        "windows-1252": csv(table(names=umlauts).encode("cp1252"), composed_files),
        "table NFC, files NFD": csv(table(names=umlauts), decomposed_files),
        "table NFD, files NFC": csv(table(names=decomposed), composed_files),
        "windows paths": csv(table(names=[f".\\{name}" for name in PLAIN])),
        "dotted paths": csv(table(names=[f"./{name}" for name in PLAIN])),
        "suffixes of another case": csv(table(names=[f"f{n}.JPEG" for n in range(6)])),
        "rows in another order": csv("\n".join(table().split("\n")[:1] + table().split("\n")[:0:-1])),
        "PatientID": csv(table(head=["path", "label", "PatientID"])),
        "Patient ID": csv(table(head=["Path", "Label", "Patient ID"])),
        "decimals": csv(table(["7", "7.0", "8", "8.0", "9", "9.0"]), patients=3),
        "decimal commas": csv(table(["7", "7,0", "8", "8,0", "9", "9,0"], by=";"), patients=3),
        "leading zeros": csv(table(["007", "7", "008", "8", "9", "09"]), patients=3),
        "formula marks": csv(table(['"=""007"""', "7", "'008", "8", "9", "'9"]), patients=3),
        "powers of ten": csv(table(["1.2E+11", "1.2E+11", "1", "2", "3", "4"]), **lost),
        "dates": csv(table(["02-Jan", "#REF!", "1", "2", "3", "4"]), **lost),
        "ids NA": csv(table(["NA"] * 6), **nobody),
        "ids null": csv(table(["null", "NaN", "", "?", "unknown", "N/A"]), **nobody),
        "one file, two patients": csv(
            table() + "f0.jpeg,NORMAL,99\n", good=5, patients=5, rules=("patient-known",) * 2
        ),
        "one file listed twice": csv(table() + "f0.jpeg,NORMAL,10\n", rules=("no-duplicate",)),
        "one file, two labels": csv(
            table() + "f0.jpeg,PNEUMONIA,10\n", good=5, patients=5, rules=("one-label",) * 2
        ),
        "a file that is not there": csv(table() + "f9.jpeg,NORMAL,99\n", rules=("file-present",)),
        "one id ANONYMOUS": csv(table(["ANONYMOUS"] * 6), patients=1, says="ids-placeholder: 6 films"),
        "one id 0": csv(table(["0"] * 2 + ["1", "2", "3", "4"]), patients=5, says="ids-placeholder: 2 films"),
        "a column that may be meant": csv(
            table(head=["path", "label", "MRN"]), good=0, patients=0, state="rejected",
            rules=("patient-known",) * 6, says="columns-used: not used: mrn",
        ),
        "a column of train and test": refused(
            csv("path,label,split\nf0.jpeg,NORMAL,train\nf1.jpeg,PNEUMONIA,TEST\n"),
            "rows of test, train; asked for split train",
        ),
        "a column of train alone": csv(
            table(head=["path", "label", "patient_id,Dataset_type"], ids=[f"{n},TRAIN" for n in range(6)])
        ),
        "lines of several encodings": csv(
            table(names=umlauts).encode("cp1252").replace("Müller0".encode("cp1252"), "Müller0".encode()),
            composed_files,
        ),
        "an end of DOS": csv(table() + "\x1a"),
        "names that begin and end with spaces": csv(
            table(names=[f" f{n}.jpeg " for n in range(6)]),
            {f" f{n}.jpeg ": data for n, data in enumerate(PLAIN.values())},
            good=0, patients=0, state="rejected", rules=("format-matches-name",) * 6,
        ),
        "open quote": refused(csv(table() + '"f0.jpeg,NORMAL,1\n'), "EOF inside string"),
        "nul": refused(csv(table() + "f\0.jpeg,NORMAL,1\n"), "line 8"),
        "no label": refused(csv(table(head=["path", "class", "patient_id"])), "no column 'label'"),
        "a column twice": refused(csv(table(head=["path", "label", "Label"])), "'label' twice"),
        "empty": refused(csv(""), "it is empty"),
        "a title alone": refused(csv("path,label\n"), "lists no image"),
        "utf-16 without a mark": refused(csv(table().encode("utf-16-le")), "not text"),
        "a picture": refused(csv(PLAIN["f0.jpeg"]), "images.csv"),
        "a huge cell": refused(csv(table() + "a" * 200_000 + ",NORMAL,1\n"), "field larger"),
        "two tables": refused(
            Given(lambda at: foldered(at, {**PLAIN, "images.csv": b"", "IMAGES.csv": b""})), "two manifests"
        ),
    }  # fmt: skip


def _containers() -> dict[str, Given]:
    umlaut = "NORMAL/IM-0900-0001 Müller.jpeg"
    more = {**GOOD, umlaut: jpeg(film(900))}
    utf_8 = {name.encode(): data for name, data in more.items()}
    rooted = {**below("week47", PLAIN), "week47/Images.csv": table().encode()}
    raw = {name.encode("latin-1"): data for name, data in more.items()}
    dos = umlaut.encode("latin-1")
    litter = {"__MACOSX/NORMAL/._IM-0001.jpeg": b"x", ".DS_Store": b"x", "NORMAL/thumbs.db": b"x"}
    halves = {f"{half}/{name}": data for half in ("train", "test", "val") for name, data in GOOD.items()}
    one_bad = {"rules": ("path-inside-batch",)}
    return {
        "zip": in_zip(GOOD),
        "tar": in_tar(GOOD),
        "folder": Given(lambda at: foldered(at, GOOD)),
        "zip, backslashes": in_zip({name.replace("/", "\\"): data for name, data in GOOD.items()}),
        "zip, one root and a table": in_zip(rooted),
        "zip, a table written outside of its root": in_zip(
            {
                **below("export/week47", PLAIN),
                "export/week47/images.csv": table(names=[f"week47/{name}" for name in PLAIN]).encode(),
            }
        ),
        "tar, two roots": in_tar(below("export/week47", GOOD)),
        "tar, dots": in_tar(below(".", GOOD)),
        "folder, one root": Given(lambda at: foldered(at, below("week47", GOOD))),
        "folder, a root called train": Given(lambda at: foldered(at, below("train", GOOD))),
        "zip, litter": in_zip({**GOOD, **litter}),
        "folder, litter": Given(lambda at: foldered(at, {**GOOD, **litter})),
        "folder of one zip": Given(_alone),
        "zip, UTF-8 without its flag": by_hand(utf_8, good=7, patients=7),
        "zip, a name of another code page": by_hand(raw, **one_bad),
        "zip, a name that is not what its flag says": by_hand(raw, 1 << 11, **one_bad),
        "zip, the name in a field of its own": by_hand(
            raw, extra={dos: unicode_path(dos, umlaut)}, good=7, patients=7
        ),
        "zip behind a program": Given(_behind_a_program),
        "zip, a name twice": by_hand(
            {**utf_8, b".\\NORMAL\\IM-0500-0001.jpeg": b"other"},
            rules=("source-readable",) * 2, patients=6,
        ),
        "tar, a latin-1 name": in_tar(more, "latin-1", tarfile.USTAR_FORMAT, **one_bad),
        "tar, pax": in_tar(more, style=tarfile.PAX_FORMAT, good=7, patients=7),
        "folder, a latin-1 name": Given(
            lambda at: foldered(at, {in_latin_1(name): data for name, data in more.items()}), **one_bad
        ),
        "zip, train and test": refused(in_zip(halves), "folders of test, train, val; asked for split train"),
        "tar, a test folder far down": refused(in_tar(below("a/b/TEST", GOOD)), "folders of test"),
        "zip, a test set": refused(in_zip(below("images/Test_Set", GOOD)), "folders of test"),
        "folder, validation": refused(
            Given(lambda at: foldered(at, {**GOOD, **below("x/validation", GOOD)})), "folders of val"
        ),
        "folder, train and test": refused(Given(lambda at: foldered(at, halves)), "asked for split train"),
        "tar, a damaged header": refused(Given(_damaged_tar), "a damaged header"),
        "tar, cut short": refused(Given(_cut_tar), "cannot be read"),
        "zip without its end": refused(Given(_cut_zip), "no end of a directory"),
        "a folder with nothing": refused(Given(lambda at: foldered(at, {".x": b""})), "holds no file"),
        "a text": refused(Given(_text), "not a folder or archive"),
    }  # fmt: skip


def _alone(at: Path) -> Path:
    at.mkdir()
    return zipped(at / "week47.zip", GOOD).parent


def _behind_a_program(at: Path) -> Path:
    path = zipped(at.with_suffix(".zip"), GOOD)
    path.write_bytes(b"MZ" + bytes(1000) + path.read_bytes())
    return path


def _damaged_tar(at: Path) -> Path:
    path = tarred(at.with_suffix(".tar"), GOOD)
    data = bytearray(path.read_bytes())
    second = data.find(b"PNEUMONIA/")
    data[second + 148] ^= 1
    path.write_bytes(data)
    return path


def _cut_tar(at: Path) -> Path:
    path = tarred(at.with_suffix(".tar"), GOOD)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def _cut_zip(at: Path) -> Path:
    path = zipped(at.with_suffix(".zip"), GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    return path


def _text(at: Path) -> Path:
    at.write_text("the films are on the other disk")
    return at


def _patients_of_dicoms() -> dict[str, Given]:
    def films(**tags: object) -> Files:
        return {
            f"{'PNEUMONIA' if n % 2 else 'NORMAL'}/a{n}.dcm": dicom(
                film(140 + n),
                StudyInstanceUID=f"1.2.{n}",
                **{k: v(n) if callable(v) else v for k, v in tags.items()},
            )
            for n in range(6)
        }

    bytes_of = [b"M\xfcller", b"M\xf6ller", b"M\xe4ller", b"P1", b"P2", b"P3"]
    raw = {
        name: data.replace(b"XXXXXX", bytes_of[n].ljust(6))
        for n, (name, data) in enumerate(films(PatientID="XXXXXX", SpecificCharacterSet="ISO_IR 192").items())
    }
    return {
        "dicom, ANONYMOUS in all": in_tar(
            films(PatientID="ANONYMOUS"), patients=1, says="ids-placeholder: 6 films"
        ),
        "dicom, 0000 in all": in_tar(films(PatientID="0000"), patients=1, says="ids-placeholder: 6 films"),
        "dicom, six studies of one id": in_tar(
            films(), patients=1, says="6 of 6 studies have one patient id"
        ),
        "dicom, one id of three issuers": in_tar(
            films(IssuerOfPatientID=lambda n: f"Hospital {n % 3}"), patients=3
        ),
        "dicom, one id in several spellings": in_tar(
            films(PatientID=lambda n: ("P7", "p7 ", "007", "7", "P\u00a07", "p7")[n]), patients=2
        ),
        "dicom, ids that their character set does not decode": in_tar(raw),
        "dicom, no ids": in_tar(
            films(PatientID="NA"), good=0, patients=0, state="rejected", rules=("patient-known",) * 6
        ),
    }


INPUTS: dict[str, Given] = {**_tables(), **_containers(), **_patients_of_dicoms()}
