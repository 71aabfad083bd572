import re

import html5lib
import jsonschema
import pytest

from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import decide_promotion, record_nothing_new
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.report.document import Report
from pneumo_tasks.promotion.report.report import gather, render_report, write_report
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge


def report_of(settings: Settings, story: Story, model: str = "good") -> str:
    run_id = story.run("first", model)
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    written = write_report(settings, story.store, run_id)
    return story.store.read_verified(written.key, written.sha256).decode()


def test_the_page_begins_with_the_decision_and_stands_alone(settings: Settings, story: Story) -> None:
    page = report_of(settings, story)
    assert "Approved: version" in page
    assert page.index("Approved: version") < page.index("<h2>")
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["'](?!#|data:image/jpeg)""", page.replace("xlink:href", ""))
    assert len(page.encode()) < 600 * 1024


def test_the_page_warns_of_synthetic_images_and_a_random_backbone(settings: Settings, story: Story) -> None:
    page = report_of(settings, story)
    assert "Synthetic images" in page
    assert "Random backbone" in page
    assert "Not a medical device" in page


def test_the_page_warns_where_fewer_test_patients_are_asked_for(settings: Settings, story: Story) -> None:
    assert "this gate asks for 5 of each class, not 50" in report_of(settings, story)


def test_a_refusal_says_which_rule_failed_by_how_much(settings: Settings, story: Story) -> None:
    page = report_of(settings, story, "weak")
    assert "Rejected: test" in page
    assert "below its limit" in page


def test_the_page_tells_out_of_fold_figures_and_which_stage_was_exported(
    settings: Settings, story: Story
) -> None:
    run_id = story.run("first")
    fit = {"folds": 5, "films": 200, "patient_folds": {"auc": 0.9951}, "block_folds": {"auc": 0.9913}}
    history = {"epochs": [], "best_epoch": 0, "selection": "the optimum"}
    story.store.put_json(layout.run(run_id, "head/history.json"), history | {"cross_fitting": fit})
    stages = {name: {"validation": 0.99, "reframed": 0.98} for name in ("head", "fine_tuned", "mean")}
    choice = {**stages, "films": 40, "reframed_films": 80, "exported": "head", "rule": "better elsewhere"}
    epochs = [{"epoch": number, "val_loss": 0.2} for number in (0, 1)]
    tuned = {**history, "epochs": epochs, "choice": choice}
    story.store.put_json(layout.run(run_id, "fine_tune/history.json"), tuned)
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    written = write_report(settings, story.store, run_id)
    page = story.store.read_verified(written.key, written.sha256).decode()
    html5lib.HTMLParser(strict=True).parse(page)
    assert "0.9951" in page
    assert "0.9913" in page
    assert "head alone (exported)" in page


def test_the_page_is_valid_html_and_no_id_is_used_twice(settings: Settings, story: Story) -> None:
    page = report_of(settings, story)
    html5lib.HTMLParser(strict=True).parse(page)
    ids = re.findall(r"""\sid=["']([^"']+)""", page)
    assert len(ids) == len(set(ids))


def test_text_in_the_figures_is_text_and_follows_the_page(settings: Settings, story: Story) -> None:
    page = report_of(settings, story)
    assert "operating point</text>" in page
    assert "currentColor" in page
    assert "#010203" not in page


def test_names_from_outside_are_escaped(settings: Settings, story: Story) -> None:
    report_of(settings, story)
    report = gather(story.store, "first")
    report["summary"]["excluded_by_reason"] = {"<img src=x onerror=alert(1)>": 1}
    assert "<img" not in render_report(report)


def test_a_shortcut_is_judged_by_its_limit_and_what_has_none_does_not_pass(
    settings: Settings, story: Story
) -> None:
    report_of(settings, story)
    report = gather(story.store, "first")
    told = [("0.872", "at most 0.65", "warning"), ("0.559", "at most 0.65", "pass"), ("0.684", "", "pass")]
    report["evaluation"]["shift"] = [
        {"subject": "training films", "name": "label", "found": found, "limit": limit, "verdict": verdict}
        for found, limit, verdict in told
    ]
    page = render_report(report)
    lines = [next(line for line in page.splitlines() if f"<td>{found}</td>" in line) for found, *_ in told]
    verdicts = [re.findall(r'<td class="(.*?)">(.*?)</td></tr>', line)[0] for line in lines]
    assert verdicts == [("fail", "warning"), ("pass", "pass"), ("dim", "no limit")]


def test_a_run_without_anything_new_has_a_report_too(settings: Settings, story: Story) -> None:
    record_nothing_new(story.store, "quiet", SNAPSHOT, "no new image was accepted")
    write_report(settings, story.store, "quiet")
    assert b"Nothing was trained: no new image was accepted" in story.store.read(
        layout.run("quiet", "report.html")
    )


def test_the_page_counts_the_films_that_wait_for_labels_and_names_the_widest_gap(
    settings: Settings, story: Story
) -> None:
    run_id = story.run("first", "good")
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    report = gather(story.store, run_id)
    assert report["unlabelled"] == {"batches": 0, "films": 0}
    assert "waiting for labels" not in render_report(report)
    gap = {"by": "sex", "figure": "recall", "value": 0.123, "best": "male", "worst": "<b>", "slices": 3}
    report |= {"unlabelled": {"batches": 2, "films": 17}}
    report["evaluation"]["gaps"] = [gap]
    page = render_report(report)
    assert "good films of 2 unlabelled batch(es)" in page
    assert '<td class="n">12.3</td><td>male</td><td>&lt;b&gt;</td>' in page
    del report["evaluation"]["gaps"], report["unlabelled"]
    assert "Widest gaps" not in render_report(report), "reports of earlier releases have neither"


HEADINGS = [
    *("The gate", "The protocol", "Versions and digests", "Data flow: received → quarantined → used"),
    *("Partitions and independence", "Class balance", "Training: curves, time and cost", "Test results"),
    *("Operating point", "Slices", "Against the champion", "Failures", "Drift"),
    *("Predictive values at other prevalences", "Limits and intended use"),
    "Looks, approval, ledger, rollback",
]


def test_the_headings_are_those_of_the_design_in_its_order(settings: Settings, story: Story) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", report_of(settings, story)) == HEADINGS


def test_misses_and_flips_are_shown_unless_pictures_are_switched_off(
    settings: Settings, story: Story
) -> None:
    promote_model(settings, story.store, judge(settings, story, "before"))
    judge(settings, story, "after", "weak")
    write_report(settings, story.store, "after")
    page = story.store.read(layout.run("after", "report.html")).decode()
    assert "data:image/jpeg;base64," in page
    assert "Films whose verdict changed" in page
    assert len(page.encode()) < 5 * 2**20
    write_report(settings.model_copy(update={"report_images": False}), story.store, "after")
    assert "data:image" not in story.store.read(layout.run("after", "report.html")).decode()


def test_a_report_written_after_the_promotion_says_so(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    assert gather(story.store, "first")["headline"].startswith("Promoted: version")


def test_the_json_keeps_to_its_schema(settings: Settings, story: Story) -> None:
    report_of(settings, story)
    record_nothing_new(story.store, "quiet", SNAPSHOT, "no new image was accepted")
    write_report(settings, story.store, "quiet")
    schema = Report.model_json_schema()
    for run_id in ("first", "quiet"):
        document = story.store.read_json(layout.run(run_id, "report.json"))
        jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"headline": None}, schema)


def test_who_approved_is_on_the_page(settings: Settings, story: Story) -> None:
    consent = Approval(verdict="promote", by="anna <b>", reason="looked at the flips")
    promote_model(settings, story.store, judge(settings, story, "first"), consent)
    page = render_report(gather(story.store, "first"))
    assert "Approved by anna &lt;b&gt;" in page
    assert "looked at the flips" in page
    assert "Ledger entry 1, by anna" in page


def test_a_report_that_cannot_be_made_changes_no_decision(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    before = read_decision(story.store, run_id)
    story.store.put_json(layout.run(run_id, "class_balance.json"), {"not": "a balance"})
    written = write_report(settings, story.store, run_id)
    page = story.store.read(written.key).decode()
    assert "The decision stands" in page
    assert "test recall: pass" in page
    html5lib.HTMLParser(strict=True).parse(page)
    assert read_decision(story.store, run_id) == before
    assert promote_model(settings, story.store, run_id).version == before.version
