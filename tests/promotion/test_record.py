"""The record is true: a run is not its candidate, and evidence is written once."""

import json
from pathlib import Path

import pytest

from pneumo_tasks.errors import CorruptArtefact, PromotionRefused
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.evaluation.revisions import Revision, last_revision
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import rollback
from pneumo_tasks.promotion.registry.champion import champion_ref, champion_summary, read_champion
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.versions import download_model
from pneumo_tasks.promotion.report.report import gather
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair

YES = Approval(verdict="promote", by="ada", reason="looked at the misses")


def failures(settings: Settings, story: Story) -> list[str]:
    return [finding.subject for finding in verify(settings, story.store) if finding.verdict == "fail"]


def test_training_repeated_after_a_promotion_makes_another_candidate_of_the_same_run(
    settings: Settings, story: Story
) -> None:
    first = promote_model(settings, story.store, judge(settings, story, "run"))
    judge(settings, story, "run", "better")
    second = promote_model(settings, story.store, "run")
    champion = read_champion(story.store)
    assert champion is not None
    assert second.version != first.version
    assert (champion.version, champion.seq) == (second.version, second.seq)
    promotion = story.store.read_json(layout.run("run", "promotion.json"))
    assert (promotion["version"], promotion["seq"]) == (champion.version, champion.seq)
    assert second.version in gather(story.store, "run", images=False)["headline"]
    assert failures(settings, story) == []


def test_a_second_candidate_that_is_rejected_is_not_headlined_as_promoted(
    settings: Settings, story: Story
) -> None:
    first = promote_model(settings, story.store, judge(settings, story, "run"))
    judge(settings, story, "run", "weak")
    with pytest.raises(PromotionRefused, match="rejected"):
        promote_model(settings, story.store, "run")
    assert gather(story.store, "run", images=False)["headline"].startswith("Rejected")
    assert show_run(story.store, "run").decision == "rejected"
    champion = read_champion(story.store)
    assert champion is not None
    assert champion.version == first.version


def test_deciding_again_after_a_promotion_changes_no_evidence(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "run")
    promote_model(settings, story.store, run_id, YES)
    before = read_decision(story.store, run_id)
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, champion_ref(story.store))
    again = decide_promotion(settings, story.store, run_id, SNAPSHOT)
    assert again.decision == "approved"
    assert read_decision(story.store, run_id) == before
    assert before.approval == YES
    assert before.champion is None


def test_what_a_ledger_entry_rests_on_cannot_be_changed_unseen(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "run"))
    (entry,) = ledger.read_ledger(story.store)
    assert entry.decision is not None
    assert failures(settings, story) == []
    body = story.store.read_json(entry.decision.key)
    story.store.put_json(entry.decision.key, {**body, "reason": "because"})
    assert failures(settings, story) == ["decisions"]


def test_a_promotion_that_is_cleared_after_a_rollback_announces_one_entry(
    settings: Settings, story: Story
) -> None:
    one = promote_model(settings, story.store, judge(settings, story, "one"))
    two = promote_model(settings, story.store, judge(settings, story, "two", "better"))
    rollback(settings, story.store, one.version, ChangeRequest(reason="false alarms"))
    assert promote_model(settings, story.store, "two") == two
    summary = champion_summary(story.store)
    assert summary is not None
    assert (summary["version"], summary["seq"]) == (one.version, 3)


def test_a_candidate_that_is_the_champion_already_changes_nothing(settings: Settings, story: Story) -> None:
    version = {"version": "same"}
    story.run("one", **version)
    evaluate_candidate(settings, story.store, "one", SNAPSHOT, None)
    decide_promotion(settings, story.store, "one", SNAPSHOT)
    promote_model(settings, story.store, "one")
    story.run("two", **version)
    evaluate_candidate(settings, story.store, "two", SNAPSHOT, champion_ref(story.store))
    assert decide_promotion(settings, story.store, "two", SNAPSHOT).decision == "identical"
    assert show_run(story.store, "two").decision == "identical"
    with pytest.raises(PromotionRefused, match="identical"):
        promote_model(settings, story.store, "two")
    champion = read_champion(story.store)
    assert champion is not None
    assert (champion.run_id, champion.seq) == ("one", 1)
    assert len(ledger.read_ledger(story.store)) == 1


def test_a_late_twin_of_the_training_poisons_no_version(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "run")
    version = read_decision(story.store, run_id).version
    story.run("run", "better")  # a worker that was thought dead writes its candidate now
    with pytest.raises(CorruptArtefact, match="digest differs"):
        promote_model(settings, story.store, run_id)
    assert not list(story.store.list_objects(layout.MODELS))
    story.run("run", "good")
    assert promote_model(settings, story.store, run_id).version == version


def test_a_decision_that_was_changed_while_a_person_was_asked_promotes_nothing(
    settings: Settings, story: Story
) -> None:
    rejected = judge(settings, story, "weak", "weak")
    told = last_revision(story.store, rejected, "decision")
    body = story.store.read_json(layout.run(rejected, "decision.json"))
    story.store.put_json(layout.run(rejected, "decision.json"), {**body, "decision": "approved"})
    with pytest.raises(PromotionRefused, match="rejected"):
        promote_model(settings, story.store, rejected, YES, told)
    assert told is not None
    story.store.put_json(told.key, {**body, "decision": "approved"})
    with pytest.raises(CorruptArtefact, match="digest differs"):
        promote_model(settings, story.store, rejected, YES, told)
    assert read_champion(story.store) is None


def test_a_candidate_that_was_swapped_while_a_person_was_asked_is_refused(
    settings: Settings, story: Story
) -> None:
    run_id = judge(settings, story, "run")
    told = last_revision(story.store, run_id, "decision")
    judge(settings, story, "run", "better")
    with pytest.raises(CorruptArtefact, match="not about the candidate that was judged"):
        promote_model(settings, story.store, run_id, YES, told)


def test_the_threshold_is_protected_by_the_ledger(settings: Settings, story: Story, tmp_path: Path) -> None:
    version = promote_model(settings, story.store, judge(settings, story, "run")).version
    key = layout.model(version, "manifest.json")
    manifest = story.store.read_json(key)
    story.store.put_json(key, {**manifest, "threshold": 0.999})
    for wanted in (None, version):
        with pytest.raises(CorruptArtefact, match="digest differs"):
            download_model(settings, story.store, tmp_path / "m.keras", wanted)
    with pytest.raises(CorruptArtefact, match="digest differs"):
        champion_ref(story.store)


def test_turning_signatures_on_signs_the_manifest_that_is_stored(settings: Settings, story: Story) -> None:
    facts = {"version": "same"}
    story.run("one", **facts)
    evaluate_candidate(settings, story.store, "one", SNAPSHOT, None)
    decide_promotion(settings, story.store, "one", SNAPSHOT)
    promote_model(settings, story.store, "one")
    promote_model(settings, story.store, judge(settings, story, "between", "better"))
    private, _ = key_pair()
    signing = settings.model_copy(update={"signing_key": private})
    story.run("two", **facts)
    evaluate_candidate(settings, story.store, "two", SNAPSHOT, champion_ref(story.store))
    decide_promotion(signing, story.store, "two", SNAPSHOT)
    promote_model(signing, story.store, "two")
    champion = read_champion(story.store)
    assert champion is not None
    assert champion.version == read_decision(story.store, "two").version
    assert failures(settings, story) == []


def test_a_run_of_an_earlier_release_has_no_revisions_and_is_read_all_the_same(
    settings: Settings, story: Story
) -> None:
    run_id = judge(settings, story, "run")
    for kind, names in (("evaluation", ("candidate", "scores_sha256", "snapshot_sha256")),
                        ("decision", ("evaluation",))):  # fmt: skip
        key = layout.run(run_id, f"{kind}.json")
        document = story.store.read_json(key)
        story.store.put_json(key, {name: value for name, value in document.items() if name not in names})
    for listed in story.store.list_objects(layout.run(run_id, "revisions/")):
        story.store.delete(listed.key)
    assert read_decision(story.store, run_id).decision == "approved"
    assert last_revision(story.store, run_id, "decision") is None
    promote_model(settings, story.store, run_id)
    assert failures(settings, story) == []


def test_a_revision_names_bytes(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "run")
    found = last_revision(story.store, run_id, "decision")
    assert isinstance(found, Revision)
    body = story.store.read_verified(found.key, found.sha256)
    assert json.loads(body) == story.store.read_json(layout.run(run_id, "decision.json"))
