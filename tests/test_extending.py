"""The examples of docs/extending.md, run as they stand there."""

import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from pneumo_tasks import pipeline
from pneumo_tasks.intake import judging
from pneumo_tasks.intake.rules import file_rules as intake_rules
from pneumo_tasks.promotion.deciding import gate
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings, Share
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training import backbone_table, recipes
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.recipe import Recipe
from tests.intake.conftest import rules, validated  # noqa: F401
from tests.intake.films import film, good_files, png
from tests.promotion.deciding.test_gate import PASSING
from tests.training.conftest import RUN, SNAPSHOT, small, small_recipe, write_snapshot  # noqa: F401

PAGE = (Path(__file__).resolve().parents[1] / "docs/extending.md").read_text()
EXAMPLES = dict(re.findall(r"```(?:python|text)\n# (in [^\n]+)\n+(.*?)```", PAGE, re.DOTALL))


def run_in(path: str) -> None:
    """Run the example as if it stood at the end of its module."""
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    exec(EXAMPLES[f"in {path}"], vars(module))  # noqa: S102 (a page of our own)


def with_line(function: Callable[..., Any], place: str) -> Any:
    """The function with the example as one more line of the list that it returns."""
    line = textwrap.indent(EXAMPLES[place], " " * 8)
    begun = re.compile(r"    (?:return|rules =) \[\n")
    source, found = begun.subn(lambda opening: opening[0] + line, inspect.getsource(function), count=1)
    assert found, f"no list is begun in {function.__name__}"
    names = dict(vars(inspect.getmodule(function)))
    exec(source, names)  # noqa: S102
    return names[function.__name__]


def test_every_example_of_the_page_is_run_here() -> None:
    assert PAGE.count("```") == 2 * len(EXAMPLES) == 12


@pytest.fixture
def resnet() -> Iterator[Recipe]:
    run_in("pneumo_tasks/training/backbone_table.py")
    run_in("pneumo_tasks/training/recipes.py")
    yield recipes.RECIPES["resnet50-pooled"]
    del recipes.RECIPES["resnet50-pooled"], backbone_table.BACKBONES["resnet50"]


def test_a_backbone_is_an_entry_and_a_recipe(
    resnet: Recipe, small: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setitem(recipes.RECIPES, resnet.name, dataclasses.replace(resnet, image_size=64))
    write_snapshot(store, images=20, shards=1)
    chosen = small.model_copy(update={"recipe": resnet.name})
    run = Run(chosen, store, RUN, recorded=False)
    pipeline.balance(run, SNAPSHOT)
    pipeline.extract(run, SNAPSHOT, "shard0")
    assert 0 <= pipeline.train(run, SNAPSHOT).val_auc <= 1
    pipeline.tune(run, SNAPSHOT)
    exported = pipeline.export(run, SNAPSHOT)
    assert (exported.parity or 0) < 1e-4
    assert read_candidate(store, RUN).backbone.name == "resnet50"


def test_a_rule_of_the_gate_is_a_function_a_line_and_a_setting(environment: None) -> None:
    body = textwrap.indent(EXAMPLES["in the class Settings, in pneumo_tasks/settings.py"], "    ")
    names: dict[str, Any] = {"Settings": Settings, "Share": Share, "Field": Field}
    exec(f"class Extended(Settings):\n{body}", names)  # noqa: S102
    run_in("pneumo_tasks/promotion/deciding/gate.py")
    judge = with_line(gate.judge, "in the list of judge, in pneumo_tasks/promotion/deciding/gate.py")
    del gate._accurate  # type: ignore[attr-defined]
    evidence = PASSING.model_copy(update={"test": PASSING.test.model_copy(update={"accuracy": 0.9})})
    for limit, verdict in ((0.9, "pass"), (0.95, "fail")):
        judged = {rule.name: rule for rule in judge(names["Extended"](min_accuracy=limit), evidence)}
        assert judged["test accuracy"].verdict == verdict


def test_a_rule_of_the_intake_is_a_line(validated: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    place = "in the list of film_rules, in pneumo_tasks/intake/rules/file_rules.py"
    extended = with_line(intake_rules.film_rules, place)
    for module in (intake_rules, judging):
        monkeypatch.setattr(module, "film_rules", extended)
    dark = png((film(1).astype(float) / 12).astype(np.uint8))
    verdict = validated(good_files(4, start=10) | {"NORMAL/IM-0900-0001.png": dark})
    assert rules(verdict) == {"NORMAL/IM-0900-0001.png": "bright-enough"}
