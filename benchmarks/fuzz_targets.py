"""What is fuzzed: each target takes bytes as a stranger sends them, and the door of ours that reads them."""

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from benchmarks.mutations import chunks_damaged, damaged, document_damaged
from pneumo_tasks.errors import PneumoError

Ours = tuple[type[BaseException], ...]


@dataclass(frozen=True)
class Target:
    """``enter`` reads an input and may raise ``ours``; whatever else it raises is a finding."""

    name: str
    seeds: Callable[[], list[bytes]]
    damage: Callable[[Random, list[bytes]], bytes]
    enter: Callable[[bytes], object]
    ours: Ours = (PneumoError,)


@cache
def _documents() -> list[bytes]:
    from benchmarks.fuzz_documents import DOCUMENTS

    return [document for document, _ in DOCUMENTS().values()]


def _read_documents(data: bytes) -> None:
    from benchmarks.fuzz_documents import read_all

    read_all(data)


@cache
def _tables() -> list[bytes]:
    rows = "NORMAL/a.jpeg,NORMAL,7,PA,3,M\nPNEUMONIA/b.jpeg,PNEUMONIA,8,AP,004Y,F\n"
    plain = f"path,label,patient_id,view,age,sex\n{rows}"
    outcomes = "model,film,patient,probability,label,at\nv1,a,7,0.5,NORMAL,2026-11-27\n"
    return [
        plain.encode(), plain.replace(",", ";").encode("utf-16"),
        plain.replace("\n", "\r\n").encode("cp1252"),
        f"sep=;\n{plain}".encode(), b"study_id,label\n1.2.3,NORMAL\n", outcomes.encode(),
    ]  # fmt: skip


def _read_tables(data: bytes) -> None:
    from pneumo_tasks.intake.sent.labels import read_labels
    from pneumo_tasks.intake.sent.manifests import read_manifest
    from pneumo_tasks.monitoring.outcomes import parse_outcomes

    for read in (read_manifest, read_labels, parse_outcomes):
        try:
            read(data, "a table")
        except PneumoError:
            continue


FILES = {
    "NORMAL/a.jpeg": b"film a" * 9,
    "PNEUMONIA/b.jpeg": b"film b" * 9,
    "images.csv": b"path,label\na,NORMAL\n",
}


@cache
def _archives(kind: str) -> list[bytes]:
    from tests.intake.packing import raw_zip, tarred, unicode_path, zipped

    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / "a"
        if kind == "tar":
            return [tarred(at, FILES, style=style).read_bytes() for style in (0, 1, 2)]
        named = {name.encode(): data for name, data in FILES.items()}
        extra = {b"NORMAL/a.jpeg": unicode_path(b"NORMAL/a.jpeg", "NORMAL/ä.jpeg")}
        made = [zipped(at, FILES, method).read_bytes() for method in (0, zipfile.ZIP_DEFLATED)]
        return [*made, raw_zip(at, named, 1 << 11, extra).read_bytes()]


def _read_archive(kind: str, data: bytes) -> None:
    from pneumo_tasks.intake.containers.disk import Disk
    from pneumo_tasks.intake.containers.proofs import read_member
    from pneumo_tasks.intake.sent.contents import contents_on_disk
    from pneumo_tasks.intake.sent.rows import rows_of

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"b.{kind}"
        path.write_bytes(data)
        contents = contents_on_disk(path, "train")
        rows_of(Disk(), contents)
        for source in contents.files.values():
            if source.fault is None:
                try:
                    assert len(read_member(Disk(), source, 10_000)) <= 10_001, "more than was asked for"
                except PneumoError:
                    continue


@cache
def _models() -> list[bytes]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tests.evaluation.story import save_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.keras"
        save_model(path, 12.0, 0.0, -6.0)
        return [path.read_bytes()]


def _model_damaged(random: Random, seeds: list[bytes]) -> bytes:
    """The file itself, or one of its members, in a file that is whole."""
    if random.random() < 0.3:
        return damaged(random, seeds)
    with zipfile.ZipFile(io.BytesIO(seeds[0])) as given:
        parts = {name: given.read(name) for name in given.namelist()}
    name = random.choice(sorted(parts))
    hurt = document_damaged if name.endswith(".json") else damaged
    parts[name] = hurt(random, [parts[name]])
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as made:
        for member, data in parts.items():
            made.writestr(member, data)
    return body.getvalue()


def _load_model(data: bytes) -> None:
    from pneumo_tasks.training.model.artefact import load_artefact

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.keras"
        path.write_bytes(data)
        load_artefact(path)


@cache
def _films(kind: str) -> list[bytes]:
    from tests.intake.dicoms import dicom, jpeg_dicom
    from tests.intake.films import film, jpeg, png

    if kind == "png":
        return [png(film(3)), png(film(4).astype("uint16") * 257)]
    if kind == "jpeg":
        return [jpeg(film(1)), jpeg(film(2), progressive=True)]
    tags: dict[str, Any] = {"StudyDate": "20261120", "PatientAge": "004Y", "Modality": "DX"}
    return [dicom(film(4), **tags), dicom(film(5).astype("uint16")), jpeg_dicom(film(6), jpeg(film(6)))]


def _inspect(data: bytes) -> None:
    from pneumo_tasks.films.imaging import Limits, decode_grey
    from pneumo_tasks.intake.inspecting.inspection import inspect_bytes
    from pneumo_tasks.intake.receiving import day_of

    limits = Limits(max_pixels=1_000_000, max_side=4096)
    facts = inspect_bytes("NORMAL/x", "k", data, limits, b"key").facts
    day_of(data, 10**6)
    try:
        decode_grey(data, limits)
    except PneumoError:
        assert facts.format == "DICOM" or facts.pixel_digest is None, "judged as a film, and no film"


def _queries() -> list[bytes]:
    return [
        b"/?q=x&sort=run&up=true&page=2&decision=rejected",
        b"/run?run_id=manual__1&dag_id=pneumonia_retraining",
        b"/compare?run=a&run=b",
        b"/report?run_id=a&theme=dark",
        b"/model?version=tiny-0-a",
        b"/batch?batch_id=b",
        *(b"/ledger?x=1", b"/matrix?", b"/watch?", b"/protocol?"),
    ]


def _ask(data: bytes) -> None:
    from benchmarks.fuzz_documents import pages_client

    path, _, query = data.partition(b"?")  # percent-encoded: the client would refuse to send it otherwise
    answer = pages_client().get(f"/{quote(path.lstrip(b'/'))}?{quote(query, safe='=&%+')}")
    assert answer.status_code < 500, f"status {answer.status_code}"


def _documents_of_runs() -> list[bytes]:
    return [
        b'{"dag_run_id": "x", "logical_date": null, "conf": {"seed": 7, "batches": ["a"], "recipe": "r"}}'
    ]


def _trigger(data: bytes) -> None:
    from pneumo_airflow.form import _problem

    _problem(data)


TARGETS = {
    target.name: target
    for target in (
        Target("json", _documents, document_damaged, _read_documents),
        Target("csv", _tables, damaged, _read_tables),
        Target("zip", lambda: _archives("zip"), damaged, lambda data: _read_archive("zip", data)),
        Target("tar", lambda: _archives("tar"), damaged, lambda data: _read_archive("tar", data)),
        Target("keras", _models, _model_damaged, _load_model),
        Target("dicom", lambda: _films("dicom"), damaged, _inspect),
        Target("png", lambda: _films("png"), chunks_damaged, _inspect),
        Target("jpeg", lambda: _films("jpeg"), damaged, _inspect),
        Target("query", _queries, damaged, _ask),
        Target("trigger", _documents_of_runs, document_damaged, _trigger),
    )
}
