"""The runbook has an entry for every red task, alert and line of the doctor, and a test rehearses each."""

import ast
import re
from pathlib import Path

import pytest

from pneumo_tasks.commands.doctor import examine
from pneumo_tasks.storage.object_store import ObjectStore

PROJECT = Path(__file__).resolve().parents[1]
PAGE = (PROJECT / "docs/runbook.md").read_text()
COLUMNS = 5


def rows(title: str) -> dict[str, list[str]]:
    """The rows of the first table below a title, by their first cell."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    return {cells[0].strip().strip("`*"): [cell.strip() for cell in cells] for cells in lines}


def tasks() -> set[str]:
    """Every task of our DAGs, read from their files: decorated functions, and operators with a task id."""
    found = set()
    for path in (PROJECT / "dags").glob("*.py"):
        text = path.read_text()
        for node in ast.parse(text).body:
            decorators = [ast.unparse(one) for one in getattr(node, "decorator_list", ())]
            if any("task" in one and not one.startswith("dag") for one in decorators):
                found.add(node.name)  # type: ignore[attr-defined]
        found |= set(re.findall(r'(?:task_id=|(?:approval|review)_task\(\s*)"(\w+)"', text))
    return found


def alerts() -> set[str]:
    """The subjects of notices, without what changes in them."""
    texts = [path.read_text() for room in ("dags", "plugins") for path in (PROJECT / room).rglob("*.py")]
    return {subject for text in texts for subject in re.findall(r'"Pneumo: ([^"]+)"', text)}


def test_every_task_has_an_entry() -> None:
    assert len(tasks()) == 26
    assert set(rows("A red task")) == tasks()


def test_every_line_of_the_doctor_has_an_entry(store: ObjectStore) -> None:
    assert list(rows("A line of the doctor")) == [line.name for line in examine()]


def test_every_alert_has_an_entry() -> None:
    told = {
        "{task} failed": "TASK* failed", "{run_id} is late": "RUN* is late",
        "batch {batch_id} rejected": "batch *ID* rejected",
        "{closed.decision}": "promoted, rejected, identical",
        "{note}": "rolled back to *VERSION",
        "a candidate waits for your approval": "a candidate waits for your approval",
        "a rollback waits for your approval": "a rollback waits for your approval",
        "the watch over the champion opened a review": "the watch over the champion opened a review",
        "{said.answer}": "keep, roll back, retrain",
        "a file of outcomes is wrong": "a file of outcomes is wrong",
    }  # fmt: skip
    assert alerts() == set(told), "a notice has no entry in the runbook"
    assert set(rows("An alert")) == set(told.values())


@pytest.mark.parametrize("title", ["A red task", "An alert", "A line of the doctor"])
def test_every_entry_says_what_to_do_and_names_a_test_that_is_there(title: str) -> None:
    for name, cells in rows(title).items():
        assert len(cells) == COLUMNS, name
        assert all(cells), f"{name}: an empty cell"
        for reference in re.findall(r"`(tests/[^`]+)`", cells[-1]) or [""]:
            path, _, function = reference.partition("::")
            assert (PROJECT / path).is_file(), f"{name}: {reference or 'no test is named'}"
            assert f"def {function}" in (PROJECT / path).read_text(), f"{name}: {reference}"
