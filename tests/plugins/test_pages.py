from fastapi.testclient import TestClient

from pneumo_tasks import journal, layout
from pneumo_tasks.object_store import ObjectStore
from promotion_reports.pages import app

SCRIPT = "<script>alert(1)</script>"


def paths() -> list[str]:
    return [f"/pneumo{route.path}" for route in app.routes]


def test_every_route_asks_for_a_login(anonymous: TestClient) -> None:
    assert len(paths()) >= 3
    for path in paths():
        assert anonymous.get(path, params={"run_id": "any"}).status_code in {401, 403}, path


def test_the_generated_api_pages_are_off(anonymous: TestClient) -> None:
    for path in ("/pneumo/docs", "/pneumo/redoc", "/pneumo/openapi.json"):
        assert "Promotion reports" not in anonymous.get(path).text


def test_a_forged_token_is_refused(anonymous: TestClient) -> None:
    for path in paths():
        answer = anonymous.get(path, params={"run_id": "any"}, headers={"Authorization": "Bearer forged"})
        assert answer.status_code in {401, 403}


def test_the_list_shows_runs_and_says_when_there_is_none(reader: TestClient, store: ObjectStore) -> None:
    assert "No run yet" in reader.get("/pneumo/").text
    journal.record_start(store, "manual__1", {"params": {}})
    page = reader.get("/pneumo/")
    assert page.status_code == 200
    assert "manual__1" in page.text
    assert "No model has been promoted yet" in page.text


def test_a_report_is_shown_as_it_was_written(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, "manual__2026-11-22T03:00:00+00:00", {"params": {}})
    store.put(layout.run("manual__2026-11-22T03:00:00+00:00", "report.html"), b"<p>the report</p>")
    run = {"run_id": "manual__2026-11-22T03:00:00+00:00"}
    assert reader.get("/pneumo/report", params=run).text == "<p>the report</p>"
    framed = reader.get("/pneumo/run", params=run)
    assert "<iframe" in framed.text
    assert "sandbox" in framed.text
    for page in (framed, reader.get("/pneumo/report", params=run)):
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "script-src" not in page.headers["Content-Security-Policy"]


def test_a_run_nobody_knows_is_not_found(reader: TestClient, store: ObjectStore) -> None:
    for run_id in ("never", "../../champion.json", "..%2f..%2fchampion.json", "", "x" * 5000, SCRIPT):
        for path in ("/pneumo/run", "/pneumo/report"):
            page = reader.get(path, params={"run_id": run_id})
            assert page.status_code == 404, (path, run_id)
            assert SCRIPT not in page.text


def test_the_tab_of_another_dag_says_that_it_makes_no_report(reader: TestClient, store: ObjectStore) -> None:
    page = reader.get("/pneumo/run", params={"run_id": "x", "dag_id": SCRIPT})
    assert page.status_code == 404
    assert "&lt;script&gt;" in page.text
    assert SCRIPT not in page.text


def test_a_failure_reason_is_escaped(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, "manual__2", {"params": {}})
    journal.record_failure(store, "manual__2", "train_head", SCRIPT)
    for page in (reader.get("/pneumo/"), reader.get("/pneumo/run", params={"run_id": "manual__2"})):
        assert page.status_code == 200
        assert SCRIPT not in page.text
        assert "&lt;script&gt;" in page.text
