import pytest

from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.monitoring.watching import sentence, watch_champion
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import Story
from tests.promotion.judging import judge


def test_without_a_champion_there_is_nothing_to_watch(settings: Settings, store: ObjectStore) -> None:
    assert watch_champion(settings, store) is None


@pytest.fixture
def version(settings: Settings, story: Story) -> str:
    promote_model(settings, story.store, judge(settings, story, "first"))
    champion = read_champion(story.store)
    assert champion is not None
    return champion.version


def outcomes(version: str, week: int, missed: int) -> list[Outcome]:
    return [
        Outcome(version=version, study=f"{week}-{at}", probability=float(at >= missed), diagnosis="PNEUMONIA")
        for at in range(60)
    ]


def test_a_loss_that_outcomes_show_opens_a_review_and_changes_nothing_else(
    settings: Settings, store: ObjectStore, version: str
) -> None:
    quiet = watch_champion(settings, store)
    assert quiet is not None
    assert sentence(quiet) == "no confirmed diagnosis yet"
    import_outcomes(store, outcomes(version, 1, missed=30), "ada")
    loud = watch_champion(settings, store)
    assert loud is not None
    assert loud.alarm
    assert "recall" in sentence(loud)
    champion = read_champion(store)
    assert champion is not None
    assert champion.version == version
    kept = [listed.key for listed in store.list_objects(f"watch/{version}/")]
    assert len(kept) == 2
    assert watch_champion(settings, store) == loud
    assert [listed.key for listed in store.list_objects(f"watch/{version}/")] == kept
