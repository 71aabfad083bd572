"""What the command line costs before it does anything."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from pneumo_tasks.cli import COMMANDS, EXIT_CODES, FINAL, RETRYABLE, app, load
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
        "pneumo_tasks.commands.terminal",
        "pneumo_tasks.commands.terminal.extras",
        "pneumo_tasks.commands.terminal.verbosity",
    }


@pytest.mark.parametrize("words", ["runs list", "batch list", "models history", "models list"])
def test_a_list_imports_nothing_that_learns_or_draws(store: ObjectStore, words: str) -> None:
    seen = modules_after(*words.split())
    assert "boto3" in seen, "it asked the bucket"
    assert seen.isdisjoint(set(HEAVY) - {"boto3", "pydantic", "numpy"})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_list_is_there_and_says_the_same_of_itself(name: str) -> None:
    command = load(name)
    said, listed = (command.help or "").split("\n")[0], COMMANDS[name][1]
    assert said.split()[0] == listed.split()[0], f"{said!r} against {listed!r}"


def leaves(command: Any, path: str) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", {})
    own = [] if inner and not command.invoke_without_command else [(path, command)]
    return own + [found for name, one in inner.items() for found in leaves(one, f"{path} {name}")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_say_what_it_does(name: str) -> None:
    for path, command in leaves(load(name), name):
        flags = [flag for option in command.params for flag in option.opts]
        assert {"-v", "--verbose"} <= set(flags), path
        assert len(flags) == len(set(flags)), f"{path}: a flag means two things"


def exit_code(*words: str, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-c", "from pneumo_tasks.cli import main; main()", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment}
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_an_error_that_another_try_may_help_ends_with_another_code_than_a_final_one(
    environment: None,
) -> None:
    code, said = exit_code("runs", "show", "never", PNEUMO_S3_ENDPOINT="http://127.0.0.1:9")
    assert (code, said.count("pneumo: ")) == (RETRYABLE, 1), said
    code, said = exit_code("retrain", "--set", "bucket=other")
    assert (code, said.count("pneumo: ")) == (FINAL, 1), said
    assert exit_code("runs", "nonsense")[0] == 2


def test_the_help_names_every_exit_code() -> None:
    shown = " ".join(str(app.info.epilog).split())
    assert all(f"{code} {said}" in shown for code, said in EXIT_CODES.items())


def test_the_module_is_the_command() -> None:
    """Or a health check that calls it is always green."""
    done = subprocess.run(
        [sys.executable, "-m", "pneumo_tasks.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert "doctor" in done.stdout
