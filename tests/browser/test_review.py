"""What a reviewer does in the Airflow UI, done: one walk, step after step, on a real scheduler."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pneumo_tasks.errors import StorageUnavailable
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.registry.champion import read_champion
from tests.browser.conftest import Installation

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(3600)]

RETRAINING, ROLLBACK, DEPLOYMENT = "pneumonia_retraining", "champion_rollback", "deploy_champion"
REASON = "Looked at every miss: <script>alert(1)</script> {{ 7 * 7 }}"

Picture = Callable[..., None]


def wait_for(what: str, found: Callable[[], Any], patience: float = 1500) -> Any:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with suppress(StorageUnavailable):  # a machine at work may not answer for a while
            if answer := found():
                return answer
        time.sleep(2)
    raise AssertionError(f"waited {patience:.0f} s for {what}")


def newest_run(installation: Installation, dag_id: str) -> dict[str, Any]:
    return installation.client.newest_run(dag_id) or {}


def state_of(installation: Installation, dag_id: str, task_id: str) -> str | None:
    run = newest_run(installation, dag_id)
    if not run:
        return None
    tasks = installation.client.task_instances(dag_id, run["dag_run_id"])
    return next((task["state"] for task in tasks if task["task_id"] == task_id), None)


def waits(installation: Installation, dag_id: str, task_id: str) -> None:
    """Until the task waits for a person; then the moment that Airflow needs to let go of it."""
    wait_for(f"{task_id} to ask", lambda: state_of(installation, dag_id, task_id) == "awaiting_input")
    time.sleep(4)


def ended(installation: Installation, dag_id: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        run = newest_run(installation, dag_id)
        return run if run.get("state") in ("success", "failed") and run.get("note") else None

    run: dict[str, Any] = wait_for(f"{dag_id} to end", over)
    assert run["state"] == "success", run
    return run


def open_form(page: "Page", installation: Installation, dag_id: str) -> None:
    page.goto(f"{installation.url}/dags/{dag_id}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_text("Advanced Options").wait_for()
    page.wait_for_timeout(2000)  # the params arrive after the form


def unfold(page: "Page", section: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=section, exact=True).click()
    page.wait_for_timeout(800)


def enter_number(page: "Page", name: str, value: str) -> None:
    """As a person types it; the form counts it once its field says so."""
    label = page.locator(f"[id='number-input:element_{name}:inc']").get_attribute("aria-controls")
    field = page.locator(f"[id='{label}']")
    field.click()
    field.press("Control+a")
    field.press_sequentially(value, delay=50)
    field.press("Tab")
    page.wait_for_function(
        "([id, value]) => document.getElementById(id).getAttribute('aria-valuenow') === value",
        arg=[label, value],
    )
    page.wait_for_timeout(1000)


def press_trigger(page: "Page") -> None:
    page.get_by_role("dialog").get_by_role("button", name="Trigger").last.click()


def answer(page: "Page", installation: Installation, dag_id: str, task_id: str, reason: str) -> None:
    run_id = newest_run(installation, dag_id)["dag_run_id"]
    page.goto(f"{installation.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/required_actions")
    page.locator("[name=element_reason]").fill(reason)


def ours(page: "Page") -> "FrameLocator":
    return page.frame_locator("iframe").first


def theme(page: "Page", name: str) -> None:
    page.evaluate(f"localStorage.setItem('theme', '{name}')")
    page.reload()


@pytest.fixture(scope="module", autouse=True)
def ready(installation: Installation) -> None:
    for dag_id in (RETRAINING, ROLLBACK, DEPLOYMENT):
        wait_for(f"Airflow to list {dag_id}", lambda dag_id=dag_id: installation.client.dag(dag_id), 120)
        installation.client.unpause(dag_id)


def test_a_request_that_no_run_can_do_is_refused_in_the_form(
    installation: Installation, page: "Page", picture: Picture
) -> None:
    open_form(page, installation, RETRAINING)
    unfold(page, "How")
    enter_number(page, "variants", "2")
    unfold(page, "How")
    press_trigger(page)
    page.get_by_text("contradict each other").wait_for()
    picture("form-refused")
    assert newest_run(installation, RETRAINING) == {}


def test_a_run_is_triggered_with_changed_params_and_waits_for_approval(
    installation: Installation, page: "Page", picture: Picture
) -> None:
    open_form(page, installation, RETRAINING)
    unfold(page, "How")
    enter_number(page, "seed", "3")
    unfold(page, "How")
    unfold(page, "When to promote")
    enter_number(page, "min_recall", "0.5")
    page.locator("input[name=element_require_approval]").evaluate("box => box.click()")
    picture("form")
    press_trigger(page)
    run = wait_for("the run", lambda: newest_run(installation, RETRAINING), 60)
    assert run["dag_run_id"].startswith("by-hand_")
    assert (run["conf"]["seed"], run["conf"]["min_recall"]) == (3, 0.5)
    assert run["conf"]["require_approval"] is True
    waits(installation, RETRAINING, "approve_promotion")
    assert read_champion(installation.store) is None


def test_the_approval_with_its_reason_promotes(
    installation: Installation, page: "Page", picture: Picture
) -> None:
    answer(page, installation, RETRAINING, "approve_promotion", REASON)
    assert page.get_by_text("passed", exact=False).first.is_visible()
    picture("approval")
    page.get_by_role("button", name="promote", exact=True).click()
    run = ended(installation, RETRAINING)
    assert run["note"].startswith("promoted ")
    assert "approved by admin: Looked at every miss" in run["note"]
    (entry,) = ledger.read_ledger(installation.store)
    assert entry.approval is not None
    assert (entry.by, entry.approval.reason) == ("admin", REASON)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_report_and_the_ledger_are_read_inside_airflow(
    installation: Installation, page: "Page", picture: Picture, name: str
) -> None:
    run_id = newest_run(installation, RETRAINING)["dag_run_id"]
    page.goto(f"{installation.url}/dags/{RETRAINING}/runs/{run_id}")
    theme(page, name)
    page.get_by_role("link", name="Report", exact=True).or_(
        page.get_by_role("tab", name="Report", exact=True)
    ).first.click()
    report = ours(page).frame_locator("iframe")
    report.get_by_text("Promoted: version").wait_for()
    report.get_by_text("Looked at every miss").first.wait_for()
    bright = "rgb(228, 232, 237)" if name == "dark" else "rgb(27, 32, 39)"
    assert report.locator("body").evaluate("body => getComputedStyle(body).color") == bright
    picture(f"report-{name}")
    page.get_by_role("link", name="Reports").click()
    ours(page).get_by_text("champion now").wait_for()
    ours(page).get_by_role("link", name="Ledger").click()
    ours(page).get_by_text("<script>alert(1)</script> {{ 7 * 7 }}").wait_for()  # as text
    picture(f"ledger-{name}")


def test_a_second_champion_is_rolled_back_through_the_other_dag(
    installation: Installation, page: "Page", picture: Picture
) -> None:
    theme(page, "light")
    first = read_champion(installation.store)
    assert first is not None
    installation.client.trigger(RETRAINING, {"force": True, "class_weights": "2:1"}, "the second")
    wait_for("the second run", lambda: newest_run(installation, RETRAINING).get("state") == "running")
    note = ended(installation, RETRAINING)["note"]
    assert note.startswith("the second\n\npromoted ")
    second = read_champion(installation.store)
    assert second is not None
    assert second.version != first.version

    open_form(page, installation, ROLLBACK)
    press_trigger(page)
    waits(installation, ROLLBACK, "choose_version")
    answer(page, installation, ROLLBACK, "choose_version", "Too many *false* alarms")
    picture("rollback-choose")
    page.get_by_role("button", name=first.version).click()
    waits(installation, ROLLBACK, "approve_rollback")
    answer(page, installation, ROLLBACK, "approve_rollback", "Agreed")
    picture("rollback-approve")
    page.get_by_role("button", name="roll back", exact=True).click()
    assert ended(installation, ROLLBACK)["note"] == f"rolled back to {first.version}"
    champion = read_champion(installation.store)
    assert champion is not None
    assert champion.version == first.version
    entry = ledger.read_ledger(installation.store)[-1]
    assert (entry.kind, entry.reason) == ("rolled-back", "Too many *false* alarms")
    assert entry.approval is not None
    assert entry.approval.reason == "Agreed"
    page.goto(f"{installation.url}/plugin/promotion-reports/pneumo/ledger")
    ours(page).get_by_text("approved by admin: Agreed").wait_for()
    picture("rollback-ledger")


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_list_shows_the_runs_in_both_themes_and_on_a_phone(
    installation: Installation, page: "Page", picture: Picture, name: str
) -> None:
    page.goto(f"{installation.url}/plugin/promotion-reports")
    theme(page, name)
    ours(page).get_by_text("champion now").first.wait_for()
    picture(f"reports-{name}")
    if name == "light":
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{installation.url}/pneumo/")
        page.get_by_text("champion now").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture("reports-phone")
        page.set_viewport_size({"width": 1400, "height": 900})
        boxes = page.locator("input[name=run]")
        boxes.nth(0).check()
        boxes.nth(1).check()
        page.get_by_role("button", name="Compare the two ticked").click()
        page.get_by_text("test recall").wait_for()
        picture("compare")


def test_every_change_of_the_champion_was_deployed(installation: Installation) -> None:
    champion = read_champion(installation.store)
    assert champion is not None

    def served() -> bool:
        link = installation.served / "current.keras"
        return link.exists() and hashlib.sha256(link.read_bytes()).hexdigest() == champion.sha256

    wait_for("the deployment", served, 120)
