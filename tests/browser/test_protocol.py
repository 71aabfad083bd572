"""A protocol in the Airflow UI: bounds in the form, a refusal, the answer of a named person and of others."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.protocol.activation import activate
from pneumo_tasks.promotion.protocol.document import ApprovalRules, Protocol
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.settings import Settings
from pneumo_tasks.training.recipes import PHANTOM_RECIPE
from tests.browser.conftest import RUN, Installation
from tests.browser.test_review import (
    RETRAINING,
    Picture,
    answer,
    ended,
    enter_number,
    newest_run,
    open_form,
    ours,
    press_trigger,
    state_of,
    unfold,
    wait_for,
    waits,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

ASKED = "approve_promotion"


@pytest.fixture(scope="module", autouse=True)
def digest(installation: Installation) -> str:
    """A protocol that holds the limits of this installation and names ada, who starts nothing here."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in RUN.items():
            if name.startswith("PNEUMO_"):
                environment.setenv(name, value)
        settings = Settings.load({"bucket": installation.store.bucket})
        wanted = Protocol.of(settings).model_copy(
            update={"name": "Ward 7, May", "approval": ApprovalRules(approvers=("ada",))}
        )
        active = activate(settings, installation.store, wanted, "grace", "agreed in the meeting of May")
    wait_for(f"Airflow to list {RETRAINING}", lambda: installation.client.dag(RETRAINING), 300)
    installation.client.unpause(RETRAINING)
    return active.digest


def test_the_form_shows_the_bound_of_each_field(
    installation: Installation, page: "Page", picture: Picture, digest: str
) -> None:
    open_form(page, installation, RETRAINING)
    unfold(page, "When to promote")
    dialog = page.get_by_role("dialog")
    for said in ("at least 0.5", "at most 0.5", "always 0.95", "always on"):
        assert dialog.get_by_text(f"Protocol ({digest[:12]}): {said}; left empty").count(), said
    dialog.get_by_text("at least 0.5").first.scroll_into_view_if_needed()
    picture("protocol-form")


def test_a_loosened_value_is_refused_with_both_values_before_any_task(
    installation: Installation, page: "Page", picture: Picture
) -> None:
    enter_number(page, "target_recall", "0.9")
    unfold(page, "When to promote")
    press_trigger(page)
    page.get_by_text("target_recall is 0.9, the protocol says 0.95").wait_for()
    picture("protocol-refused")
    with pytest.raises(BadConfiguration, match=r"min_recall is 0.3, the protocol says 0.5"):
        installation.client.trigger(RETRAINING, {"min_recall": 0.3}, "")
    assert newest_run(installation, RETRAINING) == {}


@pytest.fixture(scope="module")
def waiting(installation: Installation) -> str:
    """The run of a candidate that admin started and that waits for an approval."""
    run_id = installation.client.trigger(RETRAINING, {"recipe": PHANTOM_RECIPE}, "")
    waits(installation, RETRAINING, ASKED)
    return run_id


@pytest.mark.parametrize("name", ["eve", "admin"])
def test_nobody_whom_the_protocol_does_not_name_may_answer(
    installation: Installation,
    signed_in: "Callable[[str], Page]",
    picture: Picture,
    waiting: str,
    name: str,
) -> None:
    other = signed_in(name)
    other.goto(f"{installation.url}/dags/{RETRAINING}/runs/{waiting}/tasks/{ASKED}/required_actions")
    other.get_by_text("Promote the candidate of").first.wait_for()
    picture(f"protocol-{name}-asked", other)
    promote = other.get_by_role("button", name="promote", exact=True)
    assert not promote.count() or promote.is_disabled()
    path = f"/dags/{RETRAINING}/dagRuns/{waiting}/taskInstances/{ASKED}/-1/hitlDetails"
    said = {"chosen_options": ["promote"], "params_input": {"reason": "I looked at every miss too"}}
    with pytest.raises(BadConfiguration, match="403"):
        installation.as_person(name)._call("PATCH", path, said)
    assert state_of(installation, RETRAINING, ASKED) == "awaiting_input"
    assert read_champion(installation.store) is None


def test_the_named_person_approves(
    installation: Installation, signed_in: "Callable[[str], Page]", picture: Picture, waiting: str
) -> None:
    ada = signed_in("ada")
    answer(ada, installation, RETRAINING, ASKED, "Looked at every miss")
    picture("protocol-approval", ada)
    ada.get_by_role("button", name="promote", exact=True).click()
    assert "approved by ada: Looked at every miss" in ended(installation, RETRAINING)["note"]
    entry = ledger.read_ledger(installation.store)[-1]
    assert (entry.kind, entry.by, entry.approval and entry.approval.by) == ("promoted", "ada", "ada")


def test_the_page_says_what_holds_who_approves_and_who_decided_so(
    installation: Installation, page: "Page", picture: Picture, digest: str
) -> None:
    page.goto(f"{installation.url}/plugin/promotion-reports/pneumo/protocol")
    shown = ours(page)
    shown.get_by_role("heading", name="Protocol: Ward 7, May").wait_for()
    for said in (digest, "ada.", "agreed in the meeting of May", "0 were"):
        assert shown.get_by_text(said).count(), said
    picture("protocol")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{installation.url}/pneumo/protocol")
    page.get_by_role("heading", name="Protocol: Ward 7, May").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1400, "height": 900})


def test_the_report_says_how_the_error_budget_stands(
    installation: Installation, page: "Page", picture: Picture, digest: str
) -> None:
    run_id = newest_run(installation, RETRAINING)["dag_run_id"]
    page.goto(f"{installation.url}/plugin/promotion-reports/pneumo/run?run_id={run_id}")
    report = ours(page).frame_locator("iframe")
    budget = report.get_by_text("Error budget: spent 0 of 0.05 (0 sideways steps asked for)")
    budget.scroll_into_view_if_needed()
    assert report.get_by_text(digest[:12]).count()
    picture("protocol-budget")
