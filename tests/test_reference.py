import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "text"), generator().pages().items(), ids=lambda value: value[:12])
def test_the_reference_says_what_the_code_says(name: str, text: str) -> None:
    assert (DOCS / "reference" / name).read_text() == text, "run `make reference`, and commit what it writes"


def test_the_reference_knows_every_setting_command_and_key() -> None:
    from pneumo_tasks.cli import COMMANDS
    from pneumo_tasks.settings import Settings

    pages = generator().pages()
    assert all(f"| `{name}` |" in pages["settings.md"] for name in Settings.model_fields)
    assert all(f"`pneumo {name}" in pages["commands.md"] for name in COMMANDS)
    assert "`runs/<run-id>/`" in pages["bucket.md"]
    assert "`champion.json`" in pages["bucket.md"]
