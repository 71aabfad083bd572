"""The processes that inspect files."""

import os

import pytest

from pneumo_tasks.errors import WorkerLost
from pneumo_tasks.intake import inspectors
from pneumo_tasks.intake.archives import Source
from pneumo_tasks.intake.inspectors import Assignment, inspect_files
from pneumo_tasks.settings import Settings


def die(_: dict[str, str]) -> None:
    os._exit(1)


def test_a_process_that_cannot_start_says_nothing_about_any_film(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspectors, "_settle", die)
    films = [Source(f"{number}.jpeg", f"incoming/b/{number}.jpeg") for number in range(3)]
    with pytest.raises(WorkerLost, match="do not start"):
        inspect_files(Assignment(settings, "b", "0" * 64), films)
