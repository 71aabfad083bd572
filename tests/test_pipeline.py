"""What the stages decide, whichever door they are called through."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pneumo_tasks import journal, pipeline
from pneumo_tasks.errors import BadConfiguration, BadData, ObjectMissing
from pneumo_tasks.intake.sent.batches import Split, upload_batch
from pneumo_tasks.promotion.judgement import Decided, read_decision
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.run import Run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.fixtures import story, tiny_models  # noqa: F401
from tests.evaluation.story import SNAPSHOT, Story
from tests.intake.films import good_files, write


@pytest.fixture
def run(settings: Settings, store: ObjectStore) -> Run:
    return Run(settings, store, "weekly")


def _with(run: Run, **changes: object) -> Run:
    return Run(run.settings.model_copy(update=changes), run.store, run.run_id)


def _upload(run: Run, folder: Path, batch_id: str, split: Split, start: int) -> None:
    source = write(folder / batch_id, good_files(40, start=start))
    upload_batch(run.settings, run.store, source, batch_id, split)


def test_a_run_without_anything_accepted_ends_with_a_decision_that_says_so(run: Run) -> None:
    assert pipeline.discover(run, {}, "anna").batches == []
    assembled = pipeline.assemble(run)
    assert (assembled.snapshot, assembled.nothing_new) == (None, "no image was accepted yet")
    assert read_decision(run.store, run.run_id).decision == "nothing-new"
    closed = pipeline.close(run)
    assert (closed.state, closed.decision, closed.is_news) == ("success", "nothing-new", False)


def test_a_run_says_so_where_it_finds_nothing_because_a_batch_has_no_verdict(
    run: Run, tmp_path: Path
) -> None:
    _upload(run, tmp_path, "b1", "train", 0)
    assert pipeline.discover(run, {}, "anna").batches == ["b1"]
    with pytest.raises(BadData, match="no verdict on b1"):
        pipeline.assemble(run)
    assert not run.store.exists(layout.run(run.run_id, "decision.json"))
    _upload(run, tmp_path, "t1", "test", 100)
    pipeline.validate(run, "t1")
    with pytest.raises(BadData, match=r"in the train split.* and no verdict on b1"):
        pipeline.assemble(run)


def test_a_snapshot_is_trained_on_once_unless_the_run_is_forced(run: Run, tmp_path: Path) -> None:
    _upload(run, tmp_path, "train-1", "train", 0)
    _upload(run, tmp_path, "test-1", "test", 100)
    for batch_id in pipeline.discover(run, {}, "anna").batches:
        assert pipeline.validate(run, batch_id).state == "accepted"
    first = pipeline.assemble(run).snapshot
    assert first is not None
    run.store.put_json(layout.dataset_decision(first.snapshot_id, "earlier"), {})
    again = pipeline.assemble(run)
    assert (again.snapshot, again.nothing_new) == (None, "no new image was accepted")
    forced = pipeline.assemble(_with(run, force=True)).snapshot
    assert forced is not None
    assert forced.snapshot_id == first.snapshot_id


def test_what_no_run_can_do_is_refused_before_one_begins(run: Run) -> None:
    with pytest.raises(BadConfiguration, match="solves its head, without epochs"):
        pipeline.discover(run, {"head_epochs": 3}, "anna")
    assert not run.store.exists(layout.run(run.run_id, "run.json"))


def test_every_stage_from_the_evaluation_to_the_end_is_recorded(run: Run, story: Story) -> None:  # noqa: F811
    story.run(run.run_id)
    run = _with(run, resamples=100)
    assert pipeline.evaluate(run, SNAPSHOT).images == 48
    decided = pipeline.decide(run, SNAPSHOT)
    assert decided.decision == "approved"
    assert pipeline.report(run).key == layout.run(run.run_id, "report.html")
    settled = pipeline.promote(run, decided)
    champion = read_champion(run.store)
    assert champion is not None
    assert (settled.version, settled.seq) == (champion.version, 1)
    closed = pipeline.close(run)
    assert (closed.state, closed.decision, closed.is_news) == ("success", "promoted", True)
    assert [stage["name"] for stage in journal.stages(run.store, run.run_id)] == [
        "evaluate_candidate", "decide_promotion", "write_report", "promote_model",
    ]  # fmt: skip
    with pytest.raises(ValidationError):
        decided.decision = "rejected"  # type: ignore[misc]


@pytest.mark.parametrize(("model", "dry_run", "why"), [("weak", False, "limit"), ("good", True, "dry run")])
def test_a_refused_candidate_and_a_dry_run_leave_the_champion(
    run: Run, story: Story, model: str, dry_run: bool, why: str  # noqa: F811
) -> None:  # fmt: skip
    story.run(run.run_id, model)
    run = _with(run, resamples=100, dry_run=dry_run)
    pipeline.evaluate(run, SNAPSHOT)
    settled = pipeline.promote(run, pipeline.decide(run, SNAPSHOT))
    assert settled.seq is None
    assert why in settled.reason
    assert read_champion(run.store) is None


@pytest.mark.parametrize(
    ("decision", "approval", "dry_run", "waits"),
    [
        ("approved", True, False, True),
        ("approved", True, True, False),
        ("approved", False, False, False),
        ("rejected", True, False, False),
    ],
)
def test_a_person_is_asked_where_something_depends_on_the_answer(
    run: Run, decision: str, approval: bool, dry_run: bool, waits: bool
) -> None:
    decided = Decided(decision=decision, reason="", version="v", sha256="s", document=None)
    asking = _with(run, require_approval=approval, dry_run=dry_run)
    assert pipeline.ask(asking, decided) is waits
    assert run.store.exists(layout.run(run.run_id, "question.json")) is waits


@pytest.mark.parametrize("stage", ["evaluate", "decide"])
def test_a_stage_whose_predecessor_did_not_do_its_work_says_so(run: Run, story: Story, stage: str) -> None:  # noqa: F811
    pipeline.discover(run, {}, "anna")
    with pytest.raises(ObjectMissing, match=r"has not left what this one needs.*clear it"):
        getattr(pipeline, stage)(run, SNAPSHOT)


def test_a_run_that_is_not_recorded_leaves_no_journal(run: Run) -> None:
    compared = Run(run.settings, run.store, layout.compared_run("1", "vgg16"), recorded=False)
    pipeline.discover(compared, {}, "nobody")
    assert pipeline.assemble(compared).snapshot is None
    assert list(run.store.list_objects(layout.RUNS)) == []
