import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.sent.batches import upload_batch
from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.promotion.ledger.ledger import read_ledger
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.films import film, good_files, jpeg, write


def run(*words: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == expect, result.output
    return json.loads(result.stdout)


@pytest.fixture
def handed_in(settings: Settings, store: ObjectStore, tmp_path: Path) -> Path:
    """Batch w1: six films, one of them under a label that nobody knows."""
    folder = write(tmp_path / "w1", good_files(6))
    (folder / "NORMAL/IM-0000-0001.jpeg").rename(folder / "IM-0000-0001.jpeg")
    run("batch", "upload", str(folder), "--batch-id", "w1", "--split", "train")
    validate_batch(settings, store, "w1")
    return folder


def test_a_batch_is_shown_with_every_rejected_file(handed_in: Path) -> None:
    shown = run("batch", "show", "w1")
    assert (shown["state"], shown["accepted"], shown["quarantined"]) == ("accepted", 5, 1)
    assert [(line["file"], line["rule"]) for line in shown["rejected"]] == [
        ("IM-0000-0001.jpeg", "label-known")
    ]
    assert [row["batch_id"] for row in run("batch", "list")] == ["w1"]


def test_the_datasheet_is_written_where_one_asks(handed_in: Path, tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    result = CliRunner().invoke(app, ["batch", "report", "w1", "-o", str(page)])
    assert result.exit_code == 0, result.output
    assert "IM-0000-0001.jpeg" in page.read_text()


def test_a_withdrawn_batch_leaves_and_the_ledger_says_so_once(handed_in: Path, store: ObjectStore) -> None:
    assert len(accepted_images(store)) == 5
    said = run("batch", "withdraw", "w1", "--reason", "consent was taken back")
    assert said["ledger_seq"] == 1
    assert run("batch", "withdraw", "w1", "--reason", "again")["reason"] == "consent was taken back"
    assert accepted_images(store).empty
    (entry,) = read_ledger(store)
    assert entry.kind == "withdrawn"
    assert entry.reason == "batch w1 withdrawn: consent was taken back"
    shown = run("batch", "show", "w1")
    assert shown["state"] == "withdrawn"
    assert "consent was taken back" in shown["reasons"][0]
    with pytest.raises(BadBatch, match="withdrawn"):
        CliRunner().invoke(
            app, ["batch", "resubmit", str(handed_in), "--replaces", "w1"], catch_exceptions=False
        )


def test_a_corrected_resubmission_heals(handed_in: Path, settings: Settings, store: ObjectStore) -> None:
    (handed_in / "IM-0000-0001.jpeg").rename(handed_in / "NORMAL/IM-0000-0001.jpeg")
    sent = run("batch", "resubmit", str(handed_in), "--replaces", "w1")
    assert (sent["batch_id"], sent["replaces"], sent["split"]) == ("w1-r2", ["w1"], "train")
    assert len(accepted_images(store)) == 5, "the first batch counts until the correction is judged"
    verdict = validate_batch(settings, store, "w1-r2")
    assert (verdict.state, verdict.accepted, verdict.quarantined) == ("accepted", 6, 0)
    assert set(accepted_images(store)["batch_id"]) == {"w1-r2"}
    assert run("batch", "show", "w1")["state"] == "replaced"


def test_the_list_says_how_many_wait_for_labels(
    handed_in: Path, settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["batch", "list"])
    assert "wait for labels" not in result.output
    folder = write(tmp_path / "w2", {f"IM-9{n:03d}-0001.jpeg": jpeg(film(900 + n)) for n in range(3)})
    upload_batch(settings, store, folder, "w2", unlabelled=True)
    assert validate_batch(settings, store, "w2").state == "unlabelled"
    result = CliRunner().invoke(app, ["batch", "list"])
    assert "1 wait for labels, with 3 films: `pneumo batch label`" in result.output
