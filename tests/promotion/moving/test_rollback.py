"""A person changes the champion by hand: back to a former one, or to none."""

import pytest

from pneumo_tasks.errors import BadConfiguration, PromotionRefused
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import reset_champion, rollback
from pneumo_tasks.promotion.registry.champion import champion_ref, read_champion
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.history import read_history
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from tests.evaluation.story import Story
from tests.promotion.judging import judge, two_champions


@pytest.fixture
def versions(settings: Settings, story: Story) -> list[str]:
    return two_champions(settings, story)


def test_a_rollback_brings_a_former_champion_back_and_is_recorded(
    settings: Settings, story: Story, versions: list[str]
) -> None:
    rollback(settings, story.store, versions[0], ChangeRequest(reason="false alarms on the ward"))
    champion = read_champion(story.store)
    assert champion is not None
    assert champion.version == versions[0]
    chapters = read_history(story.store)
    assert [chapter.kind for chapter in chapters] == ["promoted", "promoted", "rolled-back"]
    assert chapters[-1].reason == "false alarms on the ward"
    assert [chapter.until is None for chapter in chapters] == [False, False, True]
    assert all(finding.verdict == "pass" for finding in verify(settings, story.store))


def test_a_cleared_rollback_that_chooses_another_version_is_an_error(
    settings: Settings, story: Story, versions: list[str]
) -> None:
    third = promote_model(settings, story.store, judge(settings, story, "third", "better")).version
    request = ChangeRequest(reason="false alarms", attempt="manual__1")
    rollback(settings, story.store, versions[0], request)
    assert rollback(settings, story.store, versions[0], request).version == versions[0]
    with pytest.raises(PromotionRefused, match=f"went back to {versions[0]} already"):
        rollback(settings, story.store, third, request)


def test_only_a_former_champion_comes_back(settings: Settings, story: Story, versions: list[str]) -> None:
    with pytest.raises(PromotionRefused, match="never the champion"):
        rollback(settings, story.store, "v0", ChangeRequest(reason="because"))
    with pytest.raises(PromotionRefused, match="already"):
        rollback(settings, story.store, versions[1], ChangeRequest(reason="because"))
    with pytest.raises(BadConfiguration, match="reason"):
        rollback(settings, story.store, versions[0], ChangeRequest(reason=" "))


def test_after_a_reset_there_is_no_champion_but_the_past_stays(
    settings: Settings, story: Story, versions: list[str]
) -> None:
    reset_champion(settings, story.store, ChangeRequest(reason="another hospital"))
    assert read_champion(story.store) is None
    with pytest.raises(PromotionRefused, match="no champion to reset"):
        reset_champion(settings, story.store, ChangeRequest(reason="again"))
    promote_model(settings, story.store, judge(settings, story, "third"))
    reference = champion_ref(story.store)
    assert reference is not None
    assert reference.original is not None
    assert reference.original.version == versions[0]
    kinds = [chapter.kind for chapter in read_history(story.store)]
    assert kinds == ["promoted", "promoted", "reset", "promoted"]
