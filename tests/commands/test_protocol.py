"""``pneumo protocol``: what a person types."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.promotion.registry import change_request
from pneumo_tasks.storage.object_store import ObjectStore

FILE = """name: ours
intended_use: research
limits: {min_recall: 0.96}
approval: {approvers: [ada, grace]}
"""


def run(*words: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, ["protocol", *words, "--json"])
    assert result.exit_code == expect, result.output
    return json.loads(result.stdout)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "protocol.yaml"
    path.write_text(FILE)
    return str(path)


def test_a_protocol_is_checked_compared_activated_and_shown(
    store: ObjectStore, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("show")["embedded"] is True
    checked = run("check", file)
    assert "probability" in checked["warnings"][0]
    effects = {row["name"]: row["effect"] for row in run("diff", "active", file)}
    assert effects["min_recall"] == "tighter"
    monkeypatch.setattr(change_request, "person", lambda: "ada")
    assert run("activate", file, "--reason", "agreed in May")["seq"] == 1
    shown = run("show")
    assert (shown["embedded"], shown["seq"], shown["digest"]) == (False, 1, checked["digest"])
    assert run("show", checked["digest"][:8])["seq"] == 1
    looser = Path(file)
    looser.write_text(FILE.replace("0.96", "0.90"))
    assert run("activate", file, "--reason", "fewer misses found", expect=4)["seq"] is None
    monkeypatch.setattr(change_request, "person", lambda: "grace")
    assert run("activate", file, "--reason", "read it and agree")["seq"] == 2
    assert [row["approved_by"] for row in run("history")] == [None, "grace"]


def test_the_plan_says_what_a_guarantee_needs_and_what_today_can_promise(
    store: ObjectStore, file: str
) -> None:
    found = run("plan", file, "--ill", "390", "--healthy", "234", "--gain", "0.02", "--differ", "0")
    assert found["needed"] == {"PNEUMONIA": 163, "NORMAL": 96}
    assert found["enough"] is True
    assert found["promised"]["PNEUMONIA"] == pytest.approx(0.0127, abs=1e-4)
    assert 20 <= found["to_see_the_gain"] <= 60
    empty = run("plan", file)
    assert (empty["today"], empty["enough"]) == ({}, False)
    assert run("plan", file, "--ill", "390", "--healthy", "90")["enough"] is False
