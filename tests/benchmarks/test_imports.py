"""Every benchmark finds what it asks of us: a name that is gone is seen here, not on the day it is needed."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
OURS = ("pneumo_tasks", "pneumo_airflow", "tests", "benchmarks", *NAMES)


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Each module of ours and the name that is taken from it, also where a function imports it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((name.name, "") for name in node.names if name.name.split(".")[0] in OURS)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            yield from ((str(node.module), name.name) for name in node.names)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_imports_only_what_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # they are scripts, and one may import another
    importlib.import_module(name)
    for module, wanted in imported((BENCHMARKS / f"{name}.py").read_text()):
        found = importlib.import_module(module)
        if wanted and not hasattr(found, wanted):
            importlib.import_module(f"{module}.{wanted}")
