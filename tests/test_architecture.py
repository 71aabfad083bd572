"""The house rules that a reader relies on, kept by the code itself."""

import ast
import inspect
from pathlib import Path

import pytest

import pneumo_tasks
from pneumo_tasks import errors

PACKAGE = Path(pneumo_tasks.__file__).parent
FLOORS = ["ground", "intake", "dataset", "training", "evaluation", "promotion", "monitoring", "doors"]
DOORS = {"cli", "commands", "local"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def floor(parts: list[str]) -> int:
    """Where a module stands: 0 is the ground floor, the doors are above everything."""
    if not parts:
        return 0
    if parts[0] in DOORS:
        return len(FLOORS) - 1
    return FLOORS.index(parts[0]) if parts[0] in FLOORS else 0


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_imports_upwards(module: Path) -> None:
    own = floor(list(module.relative_to(PACKAGE).with_suffix("").parts))
    for name in imported(module):
        if name.startswith("pneumo_tasks."):
            assert floor(name.split(".")[1:]) <= own, f"{module.name} imports {name} from a floor above"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_product_knows_nothing_of_airflow(module: Path) -> None:
    allowed = {PACKAGE / "commands/retrain.py"}  # the door that runs the DAG in this process
    assert module in allowed or not any(name.split(".")[0] == "airflow" for name in imported(module))


def test_the_locked_test_rows_are_opened_by_the_evaluation_alone() -> None:
    readers = {
        module.relative_to(PACKAGE).as_posix()
        for module in MODULES
        if any(name.endswith("snapshots.test_rows") for name in imported(module))
        or "test.parquet" in module.read_text()
    }
    assert {path for path in readers if not path.startswith("evaluation/")} == {"dataset/snapshots.py"}


def test_only_the_object_store_talks_to_s3() -> None:
    users = {m.parent.name for m in MODULES if {"boto3", "botocore"} & {n.split(".")[0] for n in imported(m)}}
    assert users == {"storage"}


def test_every_error_is_final_or_retryable_documented_and_in_the_tree() -> None:
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert len(kinds) > 8
    for kind in kinds:
        assert kind.__doc__, kind
        assert kind.__name__ in (errors.__doc__ or ""), f"{kind.__name__} is not drawn in the tree"
        if kind not in (errors.PneumoError, errors.FinalError, errors.RetryableError):
            assert issubclass(kind, errors.FinalError) != issubclass(kind, errors.RetryableError)


def test_a_module_stays_a_size_one_can_read() -> None:
    long = {m.name: len(m.read_text().splitlines()) for m in MODULES if len(m.read_text().splitlines()) > 300}
    assert long == {}


def test_the_constraints_name_versions_and_nothing_else() -> None:
    lines = (PACKAGE.parent / "constraints.txt").read_text().split()
    assert len(lines) > 200
    assert all(line.count("==") == 1 and "/" not in line for line in lines)
    celery = next(line for line in lines if line.startswith("celery=="))
    assert celery < "celery==5.7", "celery 5.7 breaks Airflow's provider"
