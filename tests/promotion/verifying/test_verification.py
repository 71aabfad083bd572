from pathlib import Path

import pytest
from pydantic import SecretStr

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact
from pneumo_tasks.promotion.erasing.retention import prune
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.signatures import check_signature
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.versions import download_model
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from tests.evaluation.story import Story
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair


def failures(settings: Settings, story: Story) -> dict[str, str]:
    return {f.subject: f.detail for f in verify(settings, story.store) if f.verdict == "fail"}


@pytest.mark.parametrize("name", ["model.keras", "evaluation.json", "model_card.md", "manifest.json"])
def test_a_changed_file_of_a_version_is_named(settings: Settings, story: Story, name: str) -> None:
    version = promote_model(settings, story.store, judge(settings, story, "first")).version
    assert failures(settings, story) == {}
    key = layout.model(version, name)
    body = story.store.read(key)
    story.store.put(key, body.replace(b"0.", b"1.", 1) if name == "manifest.json" else body[:-1] + b"!")
    assert name in failures(settings, story)[version]


def test_a_changed_pointer_or_ledger_is_found(settings: Settings, story: Story) -> None:
    promote_model(settings, story.store, judge(settings, story, "first"))
    pointer = story.store.read_json(layout.CHAMPION)
    story.store.put_json(layout.CHAMPION, pointer | {"sha256": "0" * 64})
    assert "disagree" in failures(settings, story)["champion"]
    story.store.put_json(layout.CHAMPION, pointer | {"seq": 7})
    assert "no entry" in failures(settings, story)["champion"]
    entry = ledger.read_ledger(story.store)[0]
    story.store.put_json(layout.ledger_entry(1), entry.model_dump() | {"previous_sha256": "1" * 64})
    assert "chain is broken" in failures(settings, story)["ledger"]


def test_signatures_are_made_and_checked(settings: Settings, story: Story, tmp_path: Path) -> None:
    private, public = key_pair()
    signing = settings.model_copy(
        update={"signing_key": private, "trusted_key": public, "require_signature": True}
    )
    version = promote_model(signing, story.store, judge(signing, story, "first")).version
    assert check_signature(signing, story.store, version) == "verified"
    assert check_signature(settings, story.store, version) == "signed"
    own = signing.model_copy(update={"trusted_key": None})
    assert check_signature(own, story.store, version) == "verified", "who signs trusts the key"
    anybody = settings.model_copy(update={"require_signature": True})
    with pytest.raises(BadConfiguration, match="no key is trusted"):
        check_signature(anybody, story.store, version)
    stranger = signing.model_copy(update={"trusted_key": key_pair()[1]})
    with pytest.raises(CorruptArtefact, match="not trusted"):
        download_model(stranger, story.store, tmp_path / "m.keras")
    key = layout.model(version, "manifest.json")
    story.store.put(key, story.store.read(key) + b" ")
    with pytest.raises(CorruptArtefact, match="does not fit"):
        check_signature(signing, story.store, version)


def test_an_unsigned_version_is_told_and_refused_where_signatures_are_required(
    settings: Settings, story: Story, tmp_path: Path
) -> None:
    run_id = judge(settings, story, "first")
    strict = settings.model_copy(update={"require_signature": True})
    with pytest.raises(BadConfiguration, match="no key"):
        promote_model(strict, story.store, run_id)
    version = promote_model(settings, story.store, run_id).version
    assert check_signature(settings, story.store, version) == "unsigned"
    strict = strict.model_copy(update={"trusted_key": key_pair()[1]})
    assert "not signed" in failures(strict, story)[version]
    with pytest.raises(CorruptArtefact, match="not signed"):
        download_model(strict, story.store, tmp_path / "m.keras")


def test_the_key_is_never_shown(settings: Settings, story: Story) -> None:
    wrong = settings.model_copy(update={"signing_key": SecretStr("-----BEGIN hunter2")})
    with pytest.raises(BadConfiguration) as caught:
        promote_model(wrong, story.store, judge(settings, story, "first"))
    assert "hunter2" not in str(caught.value)


def test_pruning_takes_artefacts_of_old_runs_and_leaves_all_that_verifies(
    settings: Settings, story: Story
) -> None:
    for run_id, model in (("first", "good"), ("second", "weak"), ("third", "better")):
        judge(settings, story, run_id, model)
        if model != "weak":
            promote_model(settings, story.store, run_id)
    before = {listed.key for listed in story.store.list_objects("")}
    planned = prune(story.store, keep=1, dry_run=True)
    assert {listed.key for listed in story.store.list_objects("")} == before
    assert prune(story.store, keep=1, dry_run=False) == planned
    gone = before - {listed.key for listed in story.store.list_objects("")}
    assert len(gone) == planned.objects == 2
    assert all(key.endswith("candidate.keras") for key in gone)
    assert failures(settings, story) == {}
