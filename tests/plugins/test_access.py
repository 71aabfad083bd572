"""Who may see the pages, and what strange addresses are answered: every route, walked."""

import base64
import hashlib
import re
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from pneumo_airflow.reports.pages import app
from pneumo_tasks import journal
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

SCRIPT = "<script>alert(1)</script>"
ROUTES = [f"/pneumo{route.path}" for route in app.routes]
ANY = {"run_id": "any", "version": "any", "batch_id": "any", "run": ["a", "b"]}
BY_ID = {"/pneumo/run": "run_id", "/pneumo/report": "run_id", "/pneumo/model": "version",
         "/pneumo/batch": "batch_id"}  # fmt: skip
STRANGE = ["never", "../../champion.json", "..%2f..%2fchampion.json", "%2e%2e/champion.json", "a/../b",
           "..\\..\\champion.json", "", "\x00", "x" * 5000, SCRIPT, "a" + SCRIPT]  # fmt: skip


def test_the_walk_knows_every_route() -> None:
    assert all(isinstance(route, APIRoute) for route in app.routes), "a mount asks for no login"
    assert set(ROUTES) == {
        *BY_ID,
        "/pneumo/",
        "/pneumo/compare",
        "/pneumo/ledger",
        "/pneumo/protocol",
        "/pneumo/watch",
        "/pneumo/matrix",
    }
    assert all(route.methods == {"GET"} for route in app.routes if isinstance(route, APIRoute))


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_asks_for_a_login(anonymous: TestClient, path: str) -> None:
    assert anonymous.get(path, params=ANY).status_code == 401
    forged = anonymous.get(path, params=ANY, headers={"Authorization": "Bearer forged"})
    assert forged.status_code in {401, 403}
    anonymous.cookies.set("_token", "forged")
    assert anonymous.get(path, params=ANY).status_code in {401, 403}


@pytest.mark.parametrize("path", ROUTES)
def test_a_login_that_may_not_read_the_dag_is_refused(stranger: TestClient, path: str) -> None:
    assert stranger.get(path, params=ANY).status_code == 403


def test_the_generated_api_pages_are_off(reader: TestClient) -> None:
    for path in ("/pneumo/docs", "/pneumo/redoc", "/pneumo/openapi.json"):
        assert reader.get(path).status_code == 404, path


@pytest.mark.parametrize("path", BY_ID)
def test_an_id_that_is_none_reaches_no_key(reader: TestClient, store: ObjectStore, path: str) -> None:
    store.put(layout.CHAMPION, b'{"secret": "of the bucket"}')
    for strange in STRANGE:
        for address in (f"{path}?{BY_ID[path]}={quote(strange)}", f"{path}/{quote(strange, safe='')}"):
            page = reader.get(address)
            assert page.status_code == 404, address[:200]
            assert SCRIPT not in page.text
            assert "of the bucket" not in page.text


def test_strange_queries_of_the_list_and_the_comparison_are_refused_or_find_nothing(
    reader: TestClient, store: ObjectStore
) -> None:
    journal.record_start(store, "manual__1", {"params": {}})
    for query in ("sort=../x", "decision=<script>", "page=0", "page=x", "q=" + "x" * 500, "up=maybe"):
        assert reader.get(f"/pneumo/?{query}").status_code == 400, query
    found = reader.get("/pneumo/", params={"q": SCRIPT})
    assert found.status_code == 200
    assert SCRIPT not in found.text
    assert "&lt;script&gt;" in found.text
    for runs, status in ((["../x", "b"], 404), ([SCRIPT, SCRIPT], 404), ([], 400), (["a"] * 3, 400)):
        page = reader.get("/pneumo/compare", params={"run": runs})
        assert page.status_code == status, runs
        assert SCRIPT not in page.text


def test_every_page_forbids_foreign_scripts_and_frames(reader: TestClient, store: ObjectStore) -> None:
    """The one script of a page is named by its digest; reports and datasheets hold none."""
    for path in ROUTES:
        page = reader.get(path, params=ANY)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'self'" in policy, path
        (script,) = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert policy.split("script-src ")[1] == f"'sha256-{digest}'", path
    store.put(layout.run("any", "report.html"), SCRIPT.encode())
    for theme in ("", "light", "dark"):
        report = reader.get("/pneumo/report", params={"run_id": "any", "theme": theme})
        policy = report.headers["Content-Security-Policy"].split("; ")
        assert "sandbox" in policy, "also where it is opened alone: no script, no form, no cookie of ours"
        assert not any(part.startswith("script-src") for part in policy)
    assert reader.get("/pneumo/report", params={"run_id": "any", "theme": "x"}).status_code == 400
