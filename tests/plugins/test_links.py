"""Addresses hold below any base path of the API server, and what they name is escaped."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from pneumo_airflow.links import DatasheetLink, ReportLink, page_url
from pneumo_airflow.plugin import PneumoPlugin
from pneumo_airflow.reports import pages

TEMPLATES = sorted(Path(pages.__file__).with_name("templates").glob("*.html"))


@pytest.fixture
def below_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://hospital.example.org/af/")


def test_links_of_tasks_and_notices_keep_the_base_path_and_escape_what_they_name(below_a_path: None) -> None:
    start = "https://hospital.example.org/af/plugin/promotion-reports/pneumo"
    run = SimpleNamespace(run_id="manual__2026-11-22T03:00:00+00:00")
    assert page_url("ledger") == f"{start}/ledger"
    assert ReportLink().get_link(None, ti_key=run) == (
        f"{start}/run?run_id=manual__2026-11-22T03%3A00%3A00%2B00%3A00"
    )
    batch = SimpleNamespace(op_kwargs={"batch_id": "a&b=c#d/../<x>"})
    assert DatasheetLink().get_link(batch, ti_key=run) == (
        f"{start}/batch?batch_id=a%26b%3Dc%23d%2F..%2F%3Cx%3E"
    )


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_page_names_an_absolute_path(template: Path) -> None:
    assert not re.findall(r"(?:href|src|action)=\"(?:/|https?:)", template.read_text())


def test_the_pages_are_reached_by_relative_addresses() -> None:
    for view in PneumoPlugin.external_views:
        assert not str(view["href"]).startswith(("/", "http"))
