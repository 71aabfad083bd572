import json
from typing import Any

import pytest
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.promotion.report.report import write_report
from pneumo_tasks.settings import Settings
from tests.evaluation.story import Story
from tests.promotion.judging import two_champions


def run(*words: str, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == expect, result.output
    return json.loads(result.stdout) if result.stdout.startswith(("[", "{")) else result.stdout


@pytest.fixture
def versions(settings: Settings, story: Story) -> list[str]:
    return two_champions(settings, story)


def test_a_changed_test_set_is_accepted_with_a_reason_and_a_name(versions: list[str]) -> None:
    entry = run("models", "accept-test-set", "second", "--reason", "a copy was found")
    assert (entry["kind"], entry["reason"], entry["seq"]) == ("test-set-changed", "a copy was found", 3)
    assert all(finding["verdict"] == "pass" for finding in run("models", "verify"))


def test_a_champion_is_shown_rolled_back_verified_and_reset(
    versions: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert run("models", "champion")["version"] == versions[1]
    assert {row["version"] for row in run("models", "list")} == set(versions)
    run("models", "rollback", versions[0], "--reason", "too many alarms")
    assert run("models", "champion")["version"] == versions[0]
    assert [row["kind"] for row in run("models", "history")] == ["promoted", "promoted", "rolled-back"]
    assert run("models", "history", "--at", "2999-01-01")["version"] == versions[0]
    assert all(finding["verdict"] == "pass" for finding in run("models", "verify"))
    monkeypatch.chdir(tmp_path)
    assert run("models", "download", "m.keras")["version"] == versions[0]
    assert (tmp_path / "m.keras").exists()
    run("models", "reset-champion", "--reason", "another hospital")
    run("models", "champion", expect=3)


def test_a_replay_with_another_limit_decides_differently_and_writes_nothing(
    versions: list[str],
    story: Story,
) -> None:
    before = {(listed.key, listed.size) for listed in story.store.list_objects("")}
    assert run("gate", "replay", "first")["decision"] == "approved"
    replayed = run("gate", "replay", "first", "--set", "max_memory_mb=1")
    assert replayed["decision"] == "rejected"
    assert "memory" in replayed["reason"]
    assert {(listed.key, listed.size) for listed in story.store.list_objects("")} == before


def test_reports_are_fetched_and_compared(
    settings: Settings,
    story: Story,
    versions: list[str],
    tmp_path: Any,
) -> None:
    write_report(settings, story.store, "first")
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", "first", "--output", str(page)])
    assert result.exit_code == 0, result.output
    assert "<!DOCTYPE html>" in page.read_text()
    rows = {row["name"]: row for row in run("report", "compare", "first", "second")}
    assert rows["version"]["first"] == versions[0]
    assert rows["test recall"]["change"] == 0


def test_pruning_says_what_it_would_delete(versions: list[str]) -> None:
    assert run("prune", "--keep", "1", "--dry-run")["runs"] == ["first"]
