"""What a reader of the pages sees."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from statistics import median
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from pneumo_airflow.reports import pages
from pneumo_airflow.reports.chart import draw_chart
from pneumo_airflow.reports.heat import warmth
from pneumo_airflow.reports.listing import PAGE_RUNS, Listing, arrange
from pneumo_tasks import journal, pipeline
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.intake.records.withdrawals import read_datasheet
from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.judgement import Figures
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.protocol.activation import activate
from pneumo_tasks.promotion.protocol.document import ApprovalRules, Protocol
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.promotion.report.report import write_report
from pneumo_tasks.promotion.runs.index import enter_missing, enter_run, list_runs
from pneumo_tasks.promotion.runs.runs import DataCounts, RunSummary, show_run
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge

SCRIPT = "<script>alert(1)</script>"


def week(number: int, decision: str = "rejected", **facts: object) -> RunSummary:
    """One run of many, a week after the one before."""
    recall = 0.9 + 0.09 * (number % 7) / 7
    plain: dict[str, object] = {
        "run_id": f"weekly-{number:03d}", "state": "success", "decision": decision,
        "reason": "all 21 rules passed" if decision == "promoted" else "test recall is below its limit",
        "rules": [], "stages": [], "snapshot_id": "5nap", "version": f"v{number}",
        "started": (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(weeks=number)).isoformat(),
        "decided_at": None, "started_by": ("anna", "the schedule")[number % 2],
        "figures": Figures(recall=recall, precision=0.85 + number % 5 / 50, auc=0.97, recall_interval=None,
                           change={"recall": recall - 0.93, "precision": 0.0}),
        "data": DataCounts(batches=2, images=400 + number, quarantined=number % 3),
    }  # fmt: skip
    return RunSummary.model_validate(plain | facts)


def enter(store: ObjectStore, runs: list[RunSummary]) -> None:
    def put(run: RunSummary) -> None:
        store.put_json(layout.run(run.run_id, "run.json"), {"run_id": run.run_id, "started": run.started})
        store.put_json(layout.run_entry(run.run_id), run.model_dump(mode="json"))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, runs))


def test_the_list_shows_runs_and_says_when_there_is_none(reader: TestClient, store: ObjectStore) -> None:
    assert "No run yet" in reader.get("/pneumo/").text
    journal.record_start(store, "manual__1", {"params": {}, "by": "anna"})
    page = reader.get("/pneumo/")
    assert page.status_code == 200
    assert "manual__1" in page.text
    assert "anna" in page.text
    assert "No model has been promoted yet" in page.text


def test_the_list_is_filtered_and_sorted_as_its_address_says() -> None:
    runs = [week(n, "promoted" if n == 3 else "rejected") for n in range(9)]
    runs.append(week(9, "nothing-new", figures=None, data=None))

    def ids(**query: object) -> list[str]:
        return [run.run_id for run in arrange(runs, Listing.model_validate(query)).runs]

    assert ids(decision="promoted") == ["weekly-003"]
    assert ids(q="V5") == ["weekly-005"]
    assert ids(q="nobody") == []
    by_recall = ids(sort="recall")
    assert by_recall[0] == "weekly-006"
    assert by_recall[-1] == ids(sort="recall", up=True)[-1] == "weekly-009"  # no figure: last either way
    assert ids(sort="images", up=True)[:2] == ["weekly-000", "weekly-001"]
    many = arrange([week(n) for n in range(PAGE_RUNS + 5)], Listing(page=2))
    assert (len(many.runs), many.found, many.pages) == (5, PAGE_RUNS + 5, 2)


def test_the_chart_is_a_well_formed_picture_of_what_has_figures() -> None:
    assert draw_chart([week(1)]) == ""
    drawn = draw_chart([week(n, "promoted" if n % 4 else "rejected") for n in range(9)])
    chart = ElementTree.fromstring(drawn)  # noqa: S314
    assert "9 runs; 6 were promoted" in chart.attrib["aria-label"]
    lines = chart.findall("polyline")
    assert [line.attrib["class"] for line in lines] == ["recall", "precision"]
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert len(points) == 9
        assert all(0 <= x <= 900 and 0 <= y <= 260 for x, y in points)
    hostile = draw_chart([week(1, "promoted", version=SCRIPT), week(2)])
    assert SCRIPT not in hostile
    same_moment = [week(1), week(2, started=week(1).started)]
    ElementTree.fromstring(draw_chart(same_moment))  # noqa: S314


def test_a_promotion_can_be_read_on_every_page(reader: TestClient, story: Story, settings: Settings) -> None:
    yes = Approval(verdict="promote", by="anna", reason=f"looked at the flips {SCRIPT}")
    version = promote_model(settings, story.store, judge(settings, story, "first"), yes).version
    judge(settings, story, "second", "weak")
    for run_id in ("first", "second"):
        write_report(settings, story.store, run_id)
        enter_run(story.store, run_id)
    listed = reader.get("/pneumo/").text
    assert "champion now" in listed
    assert "308 images" in listed
    assert "2 quarantined" in listed
    assert "<svg" in listed
    ledger = reader.get("/pneumo/ledger").text
    assert "anna" in ledger
    assert "looked at the flips &lt;script&gt;" in ledger
    card = reader.get("/pneumo/model", params={"version": version}).text
    assert "<h1>Model card" in card
    assert "<table>" in card
    shown = reader.get("/pneumo/run", params={"run_id": "first"}).text
    assert "pproved by anna: looked at the flips" in shown
    compared = reader.get("/pneumo/compare", params={"run": ["first", "second"]}).text
    assert "test recall" in compared
    for text in (listed, ledger, card, shown, compared):
        assert SCRIPT not in text


def test_a_model_card_shows_what_a_uri_holds_as_text(
    reader: TestClient, story: Story, settings: Settings
) -> None:
    """In its table, on its line: no heading, no link, no picture, no cell of its own."""
    hostile = (
        f"s3://x/|\n\n## Cleared for diagnosis\n\n[yes](https://evil.example) ![x](https://evil) `a` {SCRIPT}"
    )
    backbone = {"name": hostile, "source": hostile, "sha256": "`</td>`", "random": False}
    story.run("first", backbone=backbone, recipe=hostile)
    evaluate_candidate(settings, story.store, "first", SNAPSHOT, None)
    decide_promotion(settings, story.store, "first", SNAPSHOT)
    version = promote_model(settings, story.store, "first").version
    page = reader.get("/pneumo/model", params={"version": version}).text
    card = page[page.index("<h1>Model card") :]
    assert re.findall("<h2>(.*?)</h2>", card) == [
        "Intended use", "Performance on the locked test set", "Limitations",
    ]  # fmt: skip
    assert "Cleared for diagnosis" in card
    assert "<a href=" not in card.split("<h2>")[0]
    assert "<img" not in card
    assert SCRIPT not in card


def test_a_report_is_shown_as_it_was_written(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, "manual__2026-11-22T03:00:00+00:00", {"params": {}})
    store.put(layout.run("manual__2026-11-22T03:00:00+00:00", "report.html"), b"<p>the report</p>")
    run = {"run_id": "manual__2026-11-22T03:00:00+00:00"}
    assert reader.get("/pneumo/report", params=run).text == "<p>the report</p>"
    framed = reader.get("/pneumo/run", params=run)
    assert "<iframe" in framed.text
    assert "sandbox" in framed.text


def test_the_datasheet_of_a_batch_is_shown_as_it_was_written(reader: TestClient, store: ObjectStore) -> None:
    from pneumo_tasks.intake.sent.batches import Batch
    from pneumo_tasks.storage.object_store import canonical_json, sha256

    batch = Batch(batch_id="monday", created_at=journal.now(), images=1, images_csv_sha256="")
    manifest = canonical_json(batch.model_dump(mode="json"))
    store.put(layout.batch_manifest("monday"), manifest)
    assert reader.get("/pneumo/batch", params={"batch_id": "monday"}).status_code == 404
    store.put(layout.validation("monday", sha256(manifest), "datasheet.html"), b"<p>the films</p>")
    assert read_datasheet(store, "monday") == b"<p>the films</p>"
    page = reader.get("/pneumo/batch", params={"batch_id": "monday"})
    assert page.text == "<p>the films</p>"
    assert "sandbox" in page.headers["Content-Security-Policy"].split("; ")


def test_the_tab_of_another_dag_says_that_it_makes_no_report(reader: TestClient, store: ObjectStore) -> None:
    page = reader.get("/pneumo/run", params={"run_id": "x", "dag_id": SCRIPT})
    assert page.status_code == 404
    assert "&lt;script&gt;" in page.text
    assert SCRIPT not in page.text


def test_the_protocol_page_says_what_holds_who_decided_so_and_escapes_it(
    reader: TestClient, settings: Settings, store: ObjectStore
) -> None:
    before = reader.get("/pneumo/protocol").text
    assert "the embedded default" in before
    assert "whoever may answer in the UI" in before
    rules = ApprovalRules(approvers=("ada", SCRIPT))
    hostile = Protocol.of(settings).model_copy(update={"name": SCRIPT, "approval": rules})
    activate(settings, store, hostile, "ada", f"agreed {SCRIPT}")
    page = reader.get("/pneumo/protocol")
    assert page.status_code == 200
    assert SCRIPT not in page.text
    assert hostile.digest in page.text
    assert "activated by ledger entry 1" in page.text
    assert "Never whoever started the run" in page.text
    assert "min_recall" in page.text


def test_a_failure_reason_is_escaped(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, "manual__2", {"params": {}, "by": SCRIPT})
    journal.record_failure(store, "manual__2", "train_head", SCRIPT)
    for page in (reader.get("/pneumo/"), reader.get("/pneumo/run", params={"run_id": "manual__2"})):
        assert page.status_code == 200
        assert SCRIPT not in page.text
        assert "&lt;script&gt;" in page.text


def test_a_broken_champion_is_told_and_hides_no_run(reader: TestClient, store: ObjectStore) -> None:
    journal.record_start(store, "manual__3", {"params": {}})
    store.put(layout.CHAMPION, b'{"version": "gone", "sha256": "00", "seq": 4}')
    page = reader.get("/pneumo/")
    assert page.status_code == 200
    assert "The champion cannot be read" in page.text
    assert "manual__3" in page.text


def test_an_entry_of_the_index_is_the_run_itself(store: ObjectStore) -> None:
    journal.record_start(store, "manual__4", {"params": {}})
    assert enter_run(store, "manual__4").state == "running"
    assert not list(store.list_objects(layout.RUN_INDEX))  # it goes on, so it is read anew each time
    journal.record_failure(store, "manual__4", "train_head", "the worker was lost")
    assert enter_missing(store) == 1
    assert enter_missing(store) == 0
    assert list_runs(store) == [show_run(store, "manual__4")]
    store.put(layout.run_entry("manual__4"), b"{}")  # of another release
    assert list_runs(store) == [show_run(store, "manual__4")]


def test_a_list_that_was_read_before_costs_its_listings_alone(store: ObjectStore) -> None:
    enter(store, [week(n) for n in range(40)])
    index, requests = pages.run_index(), list[str]()
    assert [run.run_id for run in index.read(store)][:2] == ["weekly-039", "weekly-038"]
    store.client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request.url))
    assert len(index.read(store)) == 40
    assert len(requests) == 4, requests  # two folders, and each listing is confirmed by a second
    enter(store, [week(7, reason="decided again")])
    assert index.read(store)[32].reason == "decided again"
    assert len(requests) == 4 + 2 + 4 + 1


@pytest.mark.stress
def test_the_list_of_500_runs_is_answered_in_300_ms(reader: TestClient, store: ObjectStore) -> None:
    enter(store, [week(n, "promoted" if n % 5 == 0 else "rejected") for n in range(500)])
    seconds = []
    for _ in range(11):
        started = time.perf_counter()
        with reader.stream("GET", "/pneumo/") as answer:
            next(answer.iter_raw())
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200
    print("first, median, slowest:", seconds[0], median(seconds), max(seconds[1:]))
    assert median(seconds) < 0.3


def test_the_matrix_says_so_before_anything_was_measured(reader: TestClient, store: ObjectStore) -> None:
    assert "Nothing was measured yet" in reader.get("/pneumo/matrix").text


def test_the_matrix_is_a_heat_map_that_escapes_names_and_reads_on_a_phone(
    reader: TestClient, store: ObjectStore
) -> None:
    figure = {"value": 0.96, "low": 0.9, "high": 0.99}
    cell = {"data": SCRIPT, "evidence": "unseen", "films": 40, "patients": 30, "recall": figure}
    row = {"version": SCRIPT, "run_id": "weekly-1", "made_at": "2026-01-05T03:00", "registered": False}
    document = {
        "made_at": "2026-01-06T03:00", "withdrawn": 2, "corrected": 1,
        "data": [{"name": SCRIPT, "kind": "batch", "films": 40}],
        "versions": [row | {"champion": False, "update": None, "cells": [cell | {"specificity": figure}]}],
    }  # fmt: skip
    store.put_json(layout.matrix(1), document)
    page = reader.get("/pneumo/matrix")
    assert page.status_code == 200
    assert SCRIPT not in page.text
    assert "&lt;script&gt;" in page.text
    assert "0.960" in page.text
    assert 'data-label="&lt;script' in page.text  # the name of the column, where a phone shows no header
    assert "2 score(s) of withdrawn films are left out" in page.text


def test_the_matrix_asks_for_a_login(anonymous: TestClient) -> None:
    assert anonymous.get("/pneumo/matrix").status_code == 401


def test_a_figure_is_as_warm_as_it_is_high() -> None:
    assert [warmth(value) for value in (None, 0.2, 0.8, 0.9, 1.0)] == [0, 0, 0, 4, 8]


def test_the_watch_shows_its_evidence_on_one_page_and_escapes_what_senders_wrote(
    reader: TestClient, settings: Settings, story: Story
) -> None:
    assert "No champion was watched yet" in reader.get("/pneumo/watch").text
    promote_model(settings, story.store, judge(settings, story, "first"))
    champion = read_champion(story.store)
    assert champion is not None
    rows = [
        Outcome(
            version=champion.version, study=str(at), probability=0.1, diagnosis="PNEUMONIA", site=SCRIPT
        )
        for at in range(60)
    ]  # fmt: skip
    import_outcomes(story.store, rows, SCRIPT)
    assert pipeline.watch(Run(settings, story.store, "daily")) is not None
    page = reader.get("/pneumo/watch")
    assert page.status_code == 200
    assert page.text.lower().count("review is due") + page.text.lower().count("review due") == 1
    assert "A review is due: look at recall" in page.text
    assert "times what opens a review" in page.text
    assert re.search(r"\d\.?\d*e[+-]?\d\d", page.text) is None, "a number that nobody can read"
    assert "champion_rollback" in page.text
    assert SCRIPT not in page.text
    assert "Unseen films" in page.text


def test_the_watch_asks_for_a_login(anonymous: TestClient) -> None:
    assert anonymous.get("/pneumo/watch").status_code == 401
