"""A loss that outcomes show, on a real scheduler: the alarm, the review in the UI, a rollback by a person."""

from typing import TYPE_CHECKING

import pytest

from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.monitoring.reviews import read_reviews
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.settings import Settings
from tests.browser.conftest import RUN, Installation
from tests.browser.test_review import (
    Picture,
    answer,
    ended,
    newest_run,
    open_form,
    ours,
    press_trigger,
    wait_for,
    waits,
)
from tests.evaluation.fixtures import tiny_models  # noqa: F401
from tests.evaluation.story import Story
from tests.promotion.judging import judge

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

WATCH, ROLLBACK = "champion_watch", "champion_rollback"
REASON = "It misses one child in three <b>since Monday</b>"


@pytest.fixture(scope="module")
def versions(installation: Installation, tiny_models: dict[str, bytes]) -> list[str]:  # noqa: F811
    """Two champions, the younger one live; nothing is trained for them."""
    store, found = installation.store, []
    with pytest.MonkeyPatch.context() as environment:
        for name, value in RUN.items():
            if name.startswith("PNEUMO_"):
                environment.setenv(name, value)
        environment.setenv("PNEUMO_RESAMPLES", "100")
        settings, story = Settings.load({"bucket": store.bucket}), Story(store, tiny_models)
        for run_id, model in (("first", "good"), ("second", "better")):
            promote_model(settings, store, judge(settings, story, run_id, model))
            champion = read_champion(store)
            assert champion is not None
            found.append(champion.version)
    for dag_id in (WATCH, ROLLBACK):
        wait_for(f"Airflow to list {dag_id}", lambda dag_id=dag_id: installation.client.dag(dag_id), 600)
        installation.client.unpause(dag_id)
    return found


def outcomes(version: str, week: int, missed: int) -> list[Outcome]:
    return [
        Outcome(version=version, study=f"{week}-{at}", probability=float(at >= missed), diagnosis="PNEUMONIA")
        for at in range(60)
    ]


def test_a_quiet_day_says_so_and_asks_nobody(installation: Installation, versions: list[str]) -> None:
    import_outcomes(installation.store, outcomes(versions[1], 1, missed=0), "ada")
    installation.client.announce("pneumo_outcomes", {"seq": 1, "rows": 60})
    wait_for("the watch", lambda: newest_run(installation, WATCH), 300)
    run = ended(installation, WATCH)
    assert run["run_type"] == "asset_triggered"
    assert run["note"].startswith("quiet: 1 weeks")


def test_a_loss_opens_a_review_that_a_person_answers_and_nothing_else_happens(
    installation: Installation, page: "Page", picture: Picture, versions: list[str]
) -> None:
    import_outcomes(installation.store, outcomes(versions[1], 2, missed=20), "ada")
    installation.client.trigger(WATCH, {}, "")
    wait_for("the watch", lambda: newest_run(installation, WATCH).get("state") == "running", 300)
    waits(installation, WATCH, "review_alarm")
    page.goto(f"{installation.url}/plugin/promotion-reports/pneumo/watch")
    ours(page).get_by_role("heading", name="A review is due: look at recall").wait_for()
    picture("watch-due")
    answer(page, installation, WATCH, "review_alarm", REASON)
    picture("watch-review")
    page.get_by_role("button", name="roll back", exact=True).click()
    assert "Trigger the DAG champion_rollback" in ended(installation, WATCH)["note"]
    (review,) = read_reviews(installation.store, versions[1])
    assert (review.by, review.answer, review.reason) == ("admin", "roll back", REASON)
    champion = read_champion(installation.store)
    assert champion is not None
    assert champion.version == versions[1]


def test_the_person_rolls_back_by_the_other_dag(
    installation: Installation, page: "Page", picture: Picture, versions: list[str]
) -> None:
    open_form(page, installation, ROLLBACK)
    press_trigger(page)
    waits(installation, ROLLBACK, "choose_version")
    answer(page, installation, ROLLBACK, "choose_version", "The watch found a loss")
    page.get_by_role("button", name=versions[0]).click()
    waits(installation, ROLLBACK, "approve_rollback")
    answer(page, installation, ROLLBACK, "approve_rollback", "Agreed")
    page.get_by_role("button", name="roll back", exact=True).click()
    assert ended(installation, ROLLBACK)["note"] == f"rolled back to {versions[0]}"


def test_the_matrix_reads_on_a_phone(
    installation: Installation, page: "Page", picture: Picture, versions: list[str]
) -> None:
    page.goto(f"{installation.url}/plugin/promotion-reports/pneumo/matrix")
    ours(page).get_by_text(versions[0]).first.wait_for()
    picture("matrix")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{installation.url}/pneumo/matrix")
    page.get_by_text(versions[0]).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture("matrix-phone")
    page.set_viewport_size({"width": 1400, "height": 900})
