import html.parser
import re

from pneumo_tasks import layout
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.promotion.decision import decide_promotion, record_nothing_new
from pneumo_tasks.promotion.registry import promote_model
from pneumo_tasks.promotion.report import gather, render_report, write_report
from pneumo_tasks.settings import Settings
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge


def report_of(settings: Settings, story: Story, model: str = "good") -> str:
    run_id = story.run("first", model)
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    written = write_report(settings, story.store, run_id)
    return story.store.read_verified(written["key"], written["sha256"]).decode()


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


def test_a_refusal_says_which_rule_failed_by_how_much(settings: Settings, story: Story) -> None:
    page = report_of(settings, story, "weak")
    assert "Rejected: test" in page
    assert "below its limit" in page


def test_the_markup_is_balanced_and_no_id_is_used_twice(settings: Settings, story: Story) -> None:
    checker = _Markup()
    checker.feed(report_of(settings, story))
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))


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


def test_a_run_without_anything_new_has_a_report_too(settings: Settings, story: Story) -> None:
    record_nothing_new(story.store, "quiet", SNAPSHOT, "no new image was accepted")
    write_report(settings, story.store, "quiet")
    assert b"Nothing was trained: no new image was accepted" in story.store.read(
        layout.run("quiet", "report.html")
    )


HEADINGS = [
    *("The gate", "Versions and digests", "Data flow: received → quarantined → used"),
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


class _Markup(html.parser.HTMLParser):
    """Checks that every element that opens also closes."""

    void = frozenset({"meta", "br", "img", "hr", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
