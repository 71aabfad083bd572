"""``pneumo batch check``: the answer, the exit codes, the pixels and the page, without a bucket."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from tests.intake.films import good_files, write
from tests.intake.packing import zipped

FIELDS = ["file", "state", "rule", "value", "limit", "label", "patient", "split", "view", "pixels_sha256"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PNEUMO_", "AWS_"))]:
        monkeypatch.delenv(name)


def check(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["batch", "check", *map(str, words), "--split", "train", "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_good_batch_ends_with_0_and_shows_its_pixels(tmp_path: Path) -> None:
    code, answer = check(write(tmp_path / "b", good_files(4)), "--pixels", tmp_path / "grey")
    assert (code, answer["state"], answer["patients"], answer["reasons"]) == (0, "accepted", 4, [])
    assert [list(file) for file in answer["files"]] == [FIELDS] * 4
    for file in answer["files"]:
        image = Image.open(tmp_path / "grey" / f"{file['file']}.png")
        assert (image.mode, image.size) == ("L", (96, 96))


def test_a_batch_with_a_bad_file_ends_with_2_and_names_it(tmp_path: Path) -> None:
    code, answer = check(zipped(tmp_path / "b.zip", {**good_files(4), "NORMAL/IM-0900-0001.jpeg": b""}))
    (bad,) = [file for file in answer["files"] if file["state"] == "quarantined"]
    assert (code, bad["rule"], bad["value"]) == (2, "bytes", "0")
    assert bad["pixels_sha256"] is None


def test_a_batch_that_is_none_ends_with_1(tmp_path: Path) -> None:
    code, answer = check(write(tmp_path / "b", {f"test/{name}": b"" for name in good_files(2)}))
    assert (code, answer["state"], answer["files"]) == (1, "refused", [])
    assert "asked for split train" in answer["reasons"][0]


def test_a_path_that_is_not_there_ends_with_1(tmp_path: Path) -> None:
    code, answer = check(tmp_path / "nowhere.zip")
    assert (code, answer["state"]) == (1, "refused")
    assert "not a folder or archive" in answer["reasons"][0]


def test_a_folder_whose_own_name_is_no_text_ends_with_1(tmp_path: Path) -> None:
    code, answer = check(write(tmp_path / os.fsdecode(b"R\xf6ntgen"), good_files(4)))
    assert (code, answer["state"]) == (1, "refused")
    assert "not UTF-8" in answer["reasons"][0]


def test_a_person_reads_sentences_and_may_have_the_page(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", {**good_files(4), "NORMAL/IM-0900-0001.jpeg": b"<html>"})
    page = tmp_path / "sheet.html"
    result = CliRunner().invoke(app, ["batch", "check", str(folder), "--datasheet", str(page)])
    assert result.exit_code == 2, result.output
    assert "accepted: 4 of 5 files are good, of 4 patients." in result.stdout
    assert "IM-0900-0001.jpeg" in page.read_text()


def test_nothing_is_asked_of_a_store(tmp_path: Path) -> None:
    """In a process of its own, where every connection to the network is an error."""
    folder = write(tmp_path / "b", good_files(2))
    script = tmp_path / "check.py"
    script.write_text(
        "import socket, sys\n"
        "def refuse(*_, **__): raise RuntimeError('the network was asked')\n"
        "real = socket.socket.connect\n"
        "socket.socket.connect = lambda s, a: real(s, a) if s.family == socket.AF_UNIX else refuse()\n"
        "socket.getaddrinfo = refuse\n"
        "from pneumo_tasks.cli import main\n"
        f"sys.argv = ['pneumo', 'batch', 'check', {str(folder)!r}, '--json']\n"
        "if __name__ == '__main__': main()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "accepted"
