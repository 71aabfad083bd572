"""A run may only tighten: each limit loosened, at the door that decides and at the ones before it."""

from typing import Any

import pytest
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger.ledger import read_ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.protocol.activation import activate
from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS
from pneumo_tasks.promotion.protocol.document import Protocol, parse_protocol
from pneumo_tasks.promotion.protocol.governing import check_run, govern_run, kept_limits
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.settings import RUN_PARAMS, Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge

WHY = "agreed in the meeting of May"

# The protocol's value, and one that a run may not have.
LOOSER: dict[str, tuple[Any, Any]] = {
    "min_recall": (0.6, 0.0), "min_precision": (0.6, 0.5), "min_auc": (0.6, 0.59),
    "min_recall_bound": (0.1, 0.0), "min_precision_bound": (0.1, 0.0),
    "recall_margin": (0.2, 1.0), "precision_margin": (0.2, 0.21),
    "original_recall_margin": (0.2, 0.3), "original_precision_margin": (0.2, 0.3),
    "free_step": (0.1, 0.2), "min_specificity": (0.1, 0.0), "min_precision_at_prevalence": (0.1, 0.0),
    "min_unseen_recall": (0.1, 0.0),
    "stated_prevalence": (0.1, 0.5), "benefit_threshold": (0.1, 0.5), "min_test_patients": (5, 1),
    "slice_min_images": (50, 5000), "slice_min_recall": (0.5, 0.4), "slice_min_specificity": (0.1, 0.0),
    "slice_max_recall_gap": (0.2, 0.3), "slice_max_specificity_gap": (0.2, 1.0),
    "max_occlusion_shift": (0.1, 0.9), "max_latency_seconds": (5.0, 50.0), "max_memory_mb": (4096, 9999),
    "resamples": (200, 100), "threshold_policy": ("target_recall", "youden"), "target_recall": (0.95, 0.5),
    "missed_case_price": (10.0, 1.0), "require_approval": (True, False), "approval_hours": (48.0, 96.0),
    "require_signature": (True, False),
}  # fmt: skip
IN_THE_FORM = sorted(set(LOOSER) & set(RUN_PARAMS))


def strict(**approval: Any) -> Protocol:
    limits = {name: values[0] for name, values in LOOSER.items() if name != "require_signature"}
    document: dict[str, Any] = {"name": "ours", "intended_use": "research", "limits": limits}
    return Protocol.model_validate(document | ({"approval": approval} if approval else {}))


@pytest.fixture
def bare(settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A bucket with a protocol, and an environment that says nothing of its limits."""
    for name in DIRECTIONS:
        monkeypatch.delenv(f"PNEUMO_{name.upper()}", raising=False)
    activate(settings, store, strict(), "ada", WHY)
    return store


def test_every_limit_is_tried() -> None:
    assert set(LOOSER) == set(DIRECTIONS)


@pytest.mark.parametrize("name", sorted(set(LOOSER) - {"require_signature"}))
def test_a_looser_environment_of_any_worker_is_refused_with_both_values(
    bare: ObjectStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    agreed, looser = LOOSER[name]
    monkeypatch.setenv(f"PNEUMO_{name.upper()}", str(looser))
    for ask in (check_run, lambda settings, store: govern_run(settings, store, "any")):
        with pytest.raises(BadConfiguration, match=f"{name} is {looser}, the protocol says {agreed}"):
            ask(Settings.load(), bare)


@pytest.mark.parametrize("name", IN_THE_FORM)
def test_a_looser_param_is_refused_by_retrain_before_anything_runs(bare: ObjectStore, name: str) -> None:
    agreed, looser = LOOSER[name]
    said = str(looser).lower() if isinstance(looser, bool) else looser
    done = CliRunner().invoke(app, ["retrain", "--set", f"{name}={said}"])
    assert isinstance(done.exception, BadConfiguration) or done.exit_code == 1
    told = str(done.exception) + done.output
    assert f"{name} is {looser}, the protocol says {agreed}" in told
    assert not list(bare.list_objects("runs/"))


def test_what_is_tighter_is_taken_and_what_is_not_said_is_the_protocols(bare: ObjectStore) -> None:
    found = check_run(Settings.for_run({"min_recall": 0.97, "min_precision": None}), bare).settings
    assert (found.min_recall, found.min_precision, found.require_approval) == (0.97, 0.6, True)


@pytest.mark.parametrize("name", ["min_recall", "recall_margin", "require_approval", "threshold_policy"])
def test_the_deciding_stage_refuses_what_an_earlier_one_let_pass(
    settings: Settings, story: Story, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run_id = story.run("first")
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, None)
    for variable in DIRECTIONS:
        monkeypatch.delenv(f"PNEUMO_{variable.upper()}", raising=False)
    activate(settings, story.store, strict(), "ada", WHY)
    agreed, looser = LOOSER[name]
    with pytest.raises(BadConfiguration, match=f"{name} is {looser}, the protocol says {agreed}"):
        decide_promotion(Settings.load({name: looser}), story.store, run_id, SNAPSHOT)
    assert read_pointer(story.store) == (None, None)
    assert [entry.kind for entry in read_ledger(story.store)] == ["protocol"]


def test_without_an_activated_protocol_the_environment_of_the_first_task_is_the_bound(
    settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = govern_run(settings, store, "weekly")
    assert first.active.embedded
    monkeypatch.setenv("PNEUMO_MIN_RECALL", "0.2")  # a worker that somebody set up otherwise
    with pytest.raises(BadConfiguration, match=r"min_recall is 0.2, the protocol says 0.95"):
        govern_run(Settings.load(), store, "weekly")
    with pytest.raises(BadConfiguration, match=r"min_recall is 0.1, the protocol says 0.2"):
        check_run(Settings.for_run({"min_recall": 0.1}), store)
    assert kept_limits(store, "weekly")["min_recall"] == 0.95


def test_a_looser_protocol_comes_too_late_for_a_run_that_began(
    settings: Settings, store: ObjectStore
) -> None:
    def protocol(recall: float) -> Protocol:
        text = f"name: ours\nintended_use: research\nlimits: {{min_recall: {recall}, resamples: 100}}"
        return parse_protocol(text.encode(), "test")

    plain = Settings.model_construct(**{**settings.model_dump(), "resamples": 100}, _fields_set=set())
    activate(settings, store, protocol(0.95), "ada", WHY)
    govern_run(plain, store, "weekly")
    activate(settings, store, protocol(0.97), "ada", WHY)
    assert govern_run(plain, store, "weekly").settings.min_recall == 0.97
    activate(settings, store, protocol(0.90), "ada", WHY)
    with pytest.raises(BadConfiguration, match=r"looser protocol was activated .*min_recall: 0.95 to 0.9"):
        govern_run(plain, store, "weekly")
    assert govern_run(plain, store, "next").settings.min_recall == 0.90


def test_a_decision_names_what_it_was_judged_by(settings: Settings, story: Story) -> None:
    judge(settings, story, "first")
    decision = read_decision(story.store, "first")
    assert decision.protocol == Protocol.of(settings).digest
    assert decision.protocol_seq == 0
    assert promote_model(settings, story.store, "first").seq == 1


def test_evidence_that_was_made_by_another_policy_fails(settings: Settings, story: Story) -> None:
    run_id = story.run("first")
    other = settings.model_copy(update={"threshold_policy": "youden"})
    evaluate_candidate(other, story.store, run_id, SNAPSHOT, None)
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    failed = [rule.name for rule in read_decision(story.store, run_id).rules if rule.verdict == "fail"]
    assert failed == ["evidence made as agreed"]
