"""What was the champion when."""

import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.registry.history import champion_at, read_history
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.evaluation.story import Story
from tests.promotion.judging import two_champions


@pytest.fixture
def versions(settings: Settings, story: Story) -> list[str]:
    return two_champions(settings, story)


def test_what_was_live_on_a_date_can_be_told(story: Story, versions: list[str]) -> None:
    chapters = read_history(story.store)
    before = champion_at(story.store, chapters[0].at)
    assert before is not None
    now = champion_at(story.store, "2999-01-01")
    assert now is not None
    assert now.version == versions[1]
    assert champion_at(story.store, "2020-01-01") is None
    with pytest.raises(BadConfiguration, match="no date"):
        champion_at(story.store, "last Tuesday")


def test_a_clock_that_jumped_back_makes_nobody_champion_before_the_first(
    story: Story, versions: list[str]
) -> None:
    second = story.store.read_json(layout.ledger_entry(2))
    story.store.put_json(layout.ledger_entry(2), {**second, "at": "2020-01-01T00:00:00+00:00"})
    assert champion_at(story.store, "2021-01-01") is None
    now = champion_at(story.store, "2999-01-01")
    assert now is not None
    assert now.version == versions[1]
