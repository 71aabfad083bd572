"""Every extra works alone: what is installed can be imported and run, and what is missing is named."""

import json
import os

import pytest

from pneumo_tasks.cli import COMMANDS
from pneumo_tasks.commands.terminal.extras import EXTRAS
from pneumo_tasks.storage.object_store import ObjectStore
from tests.install.installations import Installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

IMPORT = """
import importlib, json, pkgutil, sys
origins = {}
for root in sys.argv[1:]:
    package = importlib.import_module(root)
    for found in [package, *pkgutil.walk_packages(package.__path__, root + ".")]:
        module = importlib.import_module(getattr(found, "name", root))
        origins[module.__name__] = module.__file__
print(json.dumps(origins))
"""

# What the code imports anywhere, also inside functions, and this environment cannot find.
ABSENT = """
import ast, importlib, json, pathlib, sys
from importlib.util import find_spec
names = set()
for root in sys.argv[1:]:
    folder = pathlib.Path(find_spec(root).origin).parent
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text())
        typing_only = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If)
                       and "TYPE_CHECKING" in ast.unparse(node.test) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if id(node) in typing_only:
                continue
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
print(json.dumps(sorted(name for name in names if find_spec(name) is None)))
"""


def packages(part: Installation) -> list[str]:
    return ["pneumo_tasks", *(["pneumo_airflow"] if "airflow" in part.extras else [])]


def bucket() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("PNEUMO_", "AWS_"))}


def test_every_module_of_a_part_is_in_the_wheel_and_imports(part: Installation) -> None:
    done = part.run("python", "-c", IMPORT, *packages(part))
    assert done.returncode == 0, done.stderr
    origins = json.loads(done.stdout.splitlines()[-1])
    assert len(origins) > 100
    assert all(origin.startswith(str(part.folder)) for origin in origins.values())


def test_what_the_code_imports_anywhere_is_installed_or_belongs_to_an_extra(part: Installation) -> None:
    done = part.run("python", "-c", ABSENT, *packages(part))
    assert done.returncode == 0, done.stderr
    optional = {name for extra, names in EXTRAS.items() if extra not in part.extras for name in names}
    by_choice = {"openlineage"} if "airflow" in part.extras else set()  # a provider that the reader adds
    assert set(json.loads(done.stdout.splitlines()[-1])) <= optional | by_choice


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(part: Installation, command: str) -> None:
    done = part.run("pneumo", command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: pneumo" in done.stdout


def test_the_commands_that_read_a_bucket_work_without_any_extra(
    part: Installation, store: ObjectStore
) -> None:
    for words in (("runs", "list"), ("batch", "list"), ("models", "list"), ("models", "history")):
        done = part.run("pneumo", *words, "--json", **bucket())
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    champion = part.run("pneumo", "models", "champion", **bucket())
    assert (champion.returncode, champion.stderr) == (3, "No model has been promoted yet.\n")
    verified = part.run("pneumo", "models", "verify", "--json", **bucket())
    assert verified.returncode == 0, verified.stderr


def test_a_missing_part_is_named_in_one_line_with_the_command_to_type(
    part: Installation, store: ObjectStore
) -> None:
    film = part.folder / "film.jpeg"
    film.write_bytes(b"not looked at")
    asked = {"retrain": ("validate", "train"), "receive": ("receive",), f"predict {film}": ("train",)}
    for words, needed in asked.items():
        missing = [extra for extra in needed if extra not in part.extras]
        if not missing:
            continue
        done = part.run("pneumo", *words.split(), **bucket())
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("pneumo: this needs ")
        assert f"pip install 'pneumo[{','.join(missing)}]'" in done.stderr


def test_the_doctor_goes_on_where_a_part_is_missing(part: Installation, store: ObjectStore) -> None:
    done = part.run("pneumo", "doctor", **bucket())
    assert "Traceback" not in done.stderr
    assert [line.split(":")[0][6:] for line in done.stdout.splitlines()][:9] == [
        "settings", "schedule", "credentials", "store", "permissions", "conditional writes", "local disk",
        "strangers in the bucket",
        "backbone weights",
    ]  # fmt: skip


def test_the_whole_installation_retrains_without_a_checkout(part: Installation, store: ObjectStore) -> None:
    if set(part.extras) < {"train", "validate", "airflow"}:
        pytest.skip("needs every part")
    done = part.run("pneumo", "retrain", "--json", **bucket())
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["decision"] == "nothing-new"
