"""What the command line costs before it does anything."""

import json
import subprocess
import sys

import pytest

from pneumo_tasks.cli import COMMANDS, load
from pneumo_tasks.storage.object_store import ObjectStore

HEAVY = ("pandas", "sklearn", "scipy", "pyarrow", "matplotlib", "tensorflow", "boto3", "numpy", "pydantic")

RUN = """
import json, sys
from pneumo_tasks.cli import main
sys.argv = ["pneumo", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_after(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_help_imports_nothing_that_a_command_needs() -> None:
    seen = modules_after("--help")
    assert seen.isdisjoint(HEAVY)
    assert {name for name in seen if name.startswith("pneumo_tasks.commands.")} == {
        "pneumo_tasks.commands.extras"
    }


def test_the_list_of_runs_imports_nothing_that_learns_or_draws(store: ObjectStore) -> None:
    seen = modules_after("runs", "list")
    assert "boto3" in seen, "it asked the bucket"
    assert seen.isdisjoint({"sklearn", "matplotlib", "tensorflow", "great_expectations"})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_list_is_there_and_says_the_same_of_itself(name: str) -> None:
    command = load(name)
    said, listed = (command.help or "").split("\n")[0], COMMANDS[name][1]
    assert said.split()[0] == listed.split()[0], f"{said!r} against {listed!r}"
