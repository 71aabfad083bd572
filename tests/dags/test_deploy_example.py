"""The example of the documentation, run on real promotions."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pneumo_airflow.assets import BATCH, CHAMPION, champion_event
from pneumo_tasks.commands import announcing
from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import rollback
from pneumo_tasks.promotion.registry.champion import champion_summary
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.settings import Settings
from tests.evaluation.fixtures import story, tiny_models  # noqa: F401
from tests.evaluation.story import Story
from tests.promotion.judging import judge

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/deploy_champion.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_champion", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_starts_from_the_asset_of_the_champion(example: ModuleType) -> None:
    assert (example.CHAMPION.name, example.CHAMPION.uri) == (CHAMPION.name, CHAMPION.uri)
    assert CHAMPION.name in str(example.deployment.timetable.asset_condition)
    assert BATCH.name == announcing.ASSET


def test_every_change_of_the_champion_is_deployed(
    example: ModuleType, settings: Settings, story: Story, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    fetch = example.deployment.get_task("fetch_champion").python_callable

    def event() -> Any:
        champion = champion_summary(story.store)
        assert champion is not None
        return SimpleNamespace(extra=champion_event(champion))

    def deploy(*events: Any) -> dict[str, Any]:
        asset_events = {CHAMPION: list(events)}
        deployed: dict[str, Any] = fetch(
            triggering_asset_events=asset_events, params={"folder": str(tmp_path)}
        )
        return deployed

    first = promote_model(settings, story.store, judge(settings, story, "first"))
    one = event()
    assert one.extra["test"]["recall"] > 0.9
    assert deploy(one)["version"] == first.version
    second = promote_model(settings, story.store, judge(settings, story, "second", "better"))
    assert deploy(event(), one)["version"] == second.version  # the newest of several, in any order
    rollback(settings, story.store, first.version, ChangeRequest(reason="alarms"))
    three = event()
    assert deploy(three)["version"] == first.version
    served = (tmp_path / "current.keras").read_bytes()
    assert hashlib.sha256(served).hexdigest() == first.sha256
    three.extra["sha256"] = second.sha256
    with pytest.raises(CorruptArtefact, match="disagree"):
        deploy(three)
