from pathlib import Path

import pytest

from pneumo_tasks.errors import (
    ConditionFailed,
    CorruptArtefact,
    ObjectMissing,
    PromotionRefused,
    StorageUnavailable,
)
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving import promotion
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import champion_summary, list_versions, read_champion
from pneumo_tasks.promotion.registry.pointer import move_pointer, read_pointer
from pneumo_tasks.promotion.registry.versions import download_model
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import IMAGES, Story
from tests.promotion.judging import judge


def test_an_approved_candidate_becomes_the_champion(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    promoted = promote_model(settings, story.store, run_id)
    summary = champion_summary(story.store)
    assert summary is not None
    assert summary["version"] == promoted.version
    assert summary["run_id"] == run_id
    assert summary["test"]["images"] == IMAGES
    assert set(summary["test"]["confusion"]) == {"tp", "fp", "tn", "fn"}
    assert show_run(story.store, run_id).decision == "promoted"
    assert [manifest.version for manifest in list_versions(story.store)] == [promoted.version]


def test_promoting_twice_changes_nothing(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    first = promote_model(settings, story.store, run_id)
    before = [(listed.key, listed.size) for listed in story.store.list_objects("")]
    assert promote_model(settings, story.store, run_id) == first
    assert [(listed.key, listed.size) for listed in story.store.list_objects("")] == before


def test_a_rejected_candidate_leaves_the_champion_alone_and_enters_the_ledger(
    settings: Settings, story: Story
) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    pointer = read_pointer(story.store)
    run_id = judge(settings, story, "second", "weak")
    assert read_decision(story.store, run_id).decision == "rejected"
    with pytest.raises(PromotionRefused, match="rejected"):
        promote_model(settings, story.store, run_id)
    assert read_pointer(story.store) == pointer
    assert [entry.kind for entry in ledger.read_ledger(story.store)] == ["promoted", "rejected"]
    assert show_run(story.store, run_id).decision == "rejected"


def test_a_second_champion_replaces_the_first(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    second = promote_model(settings, story.store, judge(settings, story, "second", "better"))
    champion = read_champion(story.store)
    assert champion is not None
    assert champion.version == second.version
    entries = ledger.read_ledger(story.store)
    assert [entry.replaces for entry in ledger.effective(entries, champion.seq)] == [0, 1]
    assert [run.decision for run in list_runs(story.store)] == ["promoted", "promoted"]


def test_a_candidate_judged_against_a_former_champion_is_judged_again(
    settings: Settings, story: Story
) -> None:
    slow = judge(settings, story, "slow")
    fast = promote_model(settings, story.store, judge(settings, story, "fast", "better"))
    promote_model(settings, story.store, slow)
    decision = read_decision(story.store, slow)
    assert decision.champion == fast.version
    assert "recall against the champion" in {rule.name for rule in decision.rules}
    assert show_run(story.store, slow).decision == "promoted"


def test_a_candidate_that_is_worse_than_the_new_champion_is_refused_after_all(
    settings: Settings, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIN_RECALL", "MIN_PRECISION", "MIN_AUC", "SLICE_MIN_RECALL"):
        monkeypatch.setenv(f"PNEUMO_{name}", "0")
    monkeypatch.setenv("PNEUMO_MAX_OCCLUSION_SHIFT", "1")
    lax = Settings.load()
    slow = judge(lax, story, "slow", "weak")
    promote_model(lax, story.store, judge(lax, story, "fast", "good"))
    with pytest.raises(PromotionRefused, match="against the champion"):
        promote_model(lax, story.store, slow)
    assert show_run(story.store, slow).decision == "rejected"


class Busy(ObjectStore):
    """Somebody else is promoted just before each of the first moves of the pointer."""

    def __init__(self, settings: Settings, store: ObjectStore, rivals: list[str]) -> None:
        super().__init__(store.client, store.bucket)
        self.settings, self.store, self.rivals = settings, store, rivals

    def replace_if_unchanged(self, key: str, body: bytes, etag: str | None) -> str:
        if key == layout.CHAMPION and self.rivals:
            promote_model(self.settings, self.store, self.rivals.pop())
        return super().replace_if_unchanged(key, body, etag)


@pytest.mark.parametrize("rivals", [1, 2])
def test_a_candidate_that_is_overtaken_is_judged_again_each_time(
    settings: Settings, story: Story, rivals: int
) -> None:
    others = [judge(settings, story, f"rival-{number}", "better") for number in range(rivals)]
    slow = judge(settings, story, "slow", "better")
    promote_model(settings, Busy(settings, story.store, others), slow)
    assert show_run(story.store, slow).decision == "promoted"
    assert read_decision(story.store, slow).champion == read_decision_of(story, "rival-0")


def read_decision_of(story: Story, run_id: str) -> str | None:
    return read_decision(story.store, run_id).version


class Conflicting(ObjectStore):
    """Answers 409 to the first moves of the pointer, although nobody moved it."""

    def __init__(self, store: ObjectStore, conflicts: int) -> None:
        super().__init__(store.client, store.bucket)
        self.conflicts = conflicts

    def replace_if_unchanged(self, key: str, body: bytes, etag: str | None) -> str:
        if key == layout.CHAMPION and self.conflicts:
            self.conflicts -= 1
            raise ConditionFailed("somebody else wrote this object", where=key, found="409")
        return super().replace_if_unchanged(key, body, etag)


def test_passing_conflicts_do_not_reject_an_approved_candidate(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    promoted = promote_model(settings, Conflicting(story.store, 3), run_id)
    assert show_run(story.store, run_id).decision == "promoted"
    entries = ledger.read_ledger(story.store)
    assert [entry.seq for entry in entries] == [promoted.seq] == [1]


def test_lasting_conflicts_are_retryable_and_leave_the_decision_alone(
    settings: Settings, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "_ATTEMPTS", 2)
    run_id = judge(settings, story, "first")
    with pytest.raises(StorageUnavailable, match="could not be moved"):
        promote_model(settings, Conflicting(story.store, 99), run_id)
    assert read_decision(story.store, run_id).decision == "approved"
    assert promote_model(settings, story.store, run_id).seq == 1


def test_a_stale_pointer_is_never_overwritten(settings: Settings, story: Story) -> None:
    _, before = read_pointer(story.store)
    promote_model(settings, story.store, judge(settings, story, "first"))
    entry = ledger.read_ledger(story.store)[-1]
    with pytest.raises(ConditionFailed):
        move_pointer(story.store, entry, before)


def test_the_downloaded_model_is_the_promoted_one(settings: Settings, story: Story, tmp_path: Path) -> None:
    promoted = promote_model(settings, story.store, judge(settings, story, "first"))
    found = download_model(settings, story.store, tmp_path / "m.keras")
    assert found.signature == "unsigned"
    assert found.manifest.version == promoted.version
    assert (tmp_path / "m.keras").read_bytes() == story.models["good"]


def test_one_flipped_byte_in_a_stored_model_is_refused_by_name(
    settings: Settings, story: Story, tmp_path: Path
) -> None:
    promoted = promote_model(settings, story.store, judge(settings, story, "first"))
    body = bytearray(story.models["good"])
    body[100] ^= 1
    key = layout.model(promoted.version, "model.keras")
    story.store.put(key, bytes(body))
    with pytest.raises(CorruptArtefact, match=key):
        download_model(settings, story.store, tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_without_a_champion_there_is_nothing_to_download(
    settings: Settings, story: Story, tmp_path: Path
) -> None:
    assert champion_summary(story.store) is None
    with pytest.raises(ObjectMissing, match="no model has been promoted"):
        download_model(settings, story.store, tmp_path / "m.keras")
