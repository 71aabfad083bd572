"""Somebody who may write the bucket: a key, or the scheduler, vouches for each object that is read."""

import io
from pathlib import Path

import pandas as pd
import pytest

from pneumo_tasks.dataset.snapshots import test_rows as rows_of_the_test_set
from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, PromotionRefused
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import signed_since
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import rollback
from pneumo_tasks.promotion.registry.anchors import Anchor
from pneumo_tasks.promotion.registry.champion import champion_ref, read_champion
from pneumo_tasks.promotion.registry.change_request import ChangeRequest
from pneumo_tasks.promotion.registry.versions import download_model
from pneumo_tasks.promotion.verifying.signing import end_signing, find_unsigned, sign_history
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.storage.told_objects import ToldStore
from pneumo_tasks.training.features.keys import Pass
from pneumo_tasks.training.features.local_cache import LocalCache
from pneumo_tasks.training.features.shards import find_shard, open_shard, write_shard
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair

YES = Approval(verdict="promote", by="ada", reason="looked at the misses")


@pytest.fixture
def signing(settings: Settings) -> Settings:
    private, public = key_pair()
    return settings.model_copy(update={"signing_key": private, "trusted_key": public})


def without_key(settings: Settings) -> Settings:
    return settings.model_copy(update={"signing_key": None, "trusted_key": None})


def failed(settings: Settings, store: ObjectStore, *since: Anchor) -> list[str]:
    return [finding.detail for finding in verify(settings, store, since) if finding.verdict == "fail"]


def test_what_was_told_is_read_as_it_was_told_or_not_at_all(store: ObjectStore) -> None:
    store.put_json("a.json", {"label": "NORMAL"})
    told = ToldStore.of(store, {"a.json": sha256(store.read("a.json"))})
    assert told.read_json("a.json") == {"label": "NORMAL"}
    store.put_json("a.json", {"label": "PNEUMONIA"})
    with pytest.raises(CorruptArtefact, match="digest differs"):
        told.read_json("a.json")
    told.put_json("a.json", {"label": "again"})
    assert told.read_json("a.json") == {"label": "again"}, (
        "what this stage writes itself is told from then on"
    )
    assert told.noted("a") == {"a.json": sha256(store.read("a.json"))}


def test_a_refusal_turned_into_an_approval_is_not_promoted_from_the_command_line(
    settings: Settings, story: Story
) -> None:
    judge(settings, story, "weak", "weak")
    told = read_decision(story.store, "weak").model_dump(mode="json") | {"decision": "approved", "rules": []}
    story.store.put_json(layout.run("weak", "decision.json"), told)
    with pytest.raises(CorruptArtefact, match="not the last revision"):
        promote_model(settings, story.store, "weak", YES)
    story.store.put_json(layout.revision("weak", "decision", 1), told)
    with pytest.raises(PromotionRefused, match="the ledger says that this candidate was rejected"):
        promote_model(settings, story.store, "weak", YES)
    assert read_champion(story.store) is None


def test_a_forged_approval_in_a_new_revision_lacks_the_signature(signing: Settings, story: Story) -> None:
    judge(signing, story, "weak", "weak")
    told = read_decision(story.store, "weak").model_dump(mode="json") | {"decision": "approved", "rules": []}
    story.store.put_json(layout.run("weak", "decision.json"), told)
    story.store.put_json(layout.revision("weak", "decision", 2), told)
    with pytest.raises(CorruptArtefact, match="not signed"):
        promote_model(signing, story.store, "weak", YES)


def test_tables_of_a_snapshot_are_those_that_its_summary_names(story: Story) -> None:
    store, summary = story.store, layout.dataset(SNAPSHOT, "summary.json")
    for name, read in (("training.parquet", training_rows), ("test.parquet", rows_of_the_test_set)):
        key = layout.dataset(SNAPSHOT, name)
        body = store.read(key)
        store.put_json(summary, {**store.read_json(summary), "tables": {name: sha256(body)}})
        rows = pd.read_parquet(io.BytesIO(body))
        rows["label"] = rows["label"].map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"})
        store.put(key, rows.to_parquet(index=False))
        with pytest.raises(CorruptArtefact, match="digest differs"):
            read(store, SNAPSHOT)


def test_a_shard_of_another_extractor_is_not_opened(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    import numpy as np

    cache = LocalCache(settings.model_copy(update={"cache_folder": tmp_path}))
    facts = ("vgg16", "w" * 64, 150, "whole", "f" * 64, "grey", "float32", "none")
    ours, theirs = (Pass(*facts, variant).output("pooled") for variant in (0, 1))
    for extractor in (ours, theirs):
        part = cache.folder / "x.part"
        np.save(part.with_suffix(".npy"), np.full((1, 3), extractor.source.variant, np.float32))
        part.with_suffix(".npy").rename(part)
        write_shard(store, cache, extractor, "s", part, ["film"])
    assert open_shard(store, cache, ours, "s").read(["film"]).max() == 0
    for listed in list(store.list_objects(layout.features(theirs.id, "s"))):
        store.put(listed.key.replace(theirs.id, ours.id), store.read(listed.key))
    with pytest.raises(CorruptArtefact, match="another extractor"):
        open_shard(store, cache, ours, "s")
    assert find_shard(store, cache, ours, "s") is None, "it is computed again"


def test_a_trusted_key_means_that_a_signature_is_required(
    signing: Settings, story: Story, tmp_path: Path
) -> None:
    version = promote_model(signing, story.store, judge(signing, story, "first")).version
    deployed = signing.model_copy(update={"signing_key": None})
    assert download_model(deployed, story.store, tmp_path / "m.keras").signature == "verified"
    story.store.delete(layout.signature_of(layout.model(version, "manifest.json")))
    with pytest.raises(CorruptArtefact, match="not signed"):
        download_model(deployed, story.store, tmp_path / "m.keras")


def test_a_bucket_that_was_signed_once_stays_signed_until_the_ledger_says_otherwise(
    signing: Settings, story: Story, tmp_path: Path
) -> None:
    bare = without_key(signing)
    first = promote_model(signing, story.store, judge(signing, story, "first"))
    run_id = judge(bare, story, "second", "better")
    with pytest.raises(BadConfiguration, match="this bucket is signed, and there is no key"):
        promote_model(bare, story.store, run_id)
    assert (champion_ref(story.store, bare) or first).version == first.version
    entry = end_signing(bare, story.store, ChangeRequest(reason="the key is lost"))
    assert entry.kind == "signing-ended"
    assert signed_since(story.store) is None
    promote_model(bare, story.store, run_id)
    assert failed(bare, story.store) == []
    with pytest.raises(CorruptArtefact, match="not signed"):
        download_model(signing, story.store, tmp_path / "m.keras")  # who trusts a key still asks for it


def test_the_history_of_before_there_was_a_key_can_be_signed(signing: Settings, story: Story) -> None:
    bare = without_key(signing)
    promote_model(bare, story.store, judge(bare, story, "first"))
    assert failed(signing, story.store) != []
    assert failed(bare, story.store) == []
    signed = sign_history(signing, story.store, find_unsigned(signing, story.store))
    assert [key.split("/")[0] for key in signed[:2]] == ["models", "ledger"]
    assert {key.split("/")[0] for key in signed[2:]} == {"catalogue", "datasets", "test-sets"}
    assert failed(signing, story.store) == []
    assert find_unsigned(signing, story.store) == []


def test_a_chain_that_was_written_anew_is_not_signed(signing: Settings, story: Story) -> None:
    promote_model(signing, story.store, judge(signing, story, "first"))
    (entry,) = ledger.read_ledger(story.store)
    story.store.put_json(layout.ledger_entry(1), entry.model_dump(exclude_unset=True) | {"by": "mallory"})
    assert any("signature does not fit" in detail for detail in failed(signing, story.store))


def test_an_anchor_shows_a_ledger_that_was_cut_and_a_pointer_that_was_set_back(
    settings: Settings, story: Story
) -> None:
    first = promote_model(settings, story.store, judge(settings, story, "first"))
    before = story.store.read(layout.CHAMPION)
    promote_model(settings, story.store, judge(settings, story, "second", "better"))
    now = story.store.read(layout.CHAMPION)
    anchor = Anchor.of(ledger.read_ledger(story.store)[-1])
    assert failed(settings, story.store, anchor) == []
    assert Anchor.parse(str(anchor)) == anchor
    story.store.put(layout.CHAMPION, before)
    assert any("set back" in detail for detail in failed(settings, story.store))
    story.store.delete(layout.run("second", "promotion.json"))
    assert failed(settings, story.store) == [], "without an anchor a promotion may have stopped half way"
    assert any("pointer is at entry 1" in detail for detail in failed(settings, story.store, anchor))
    story.store.delete(layout.ledger_entry(2))
    assert any("the ledger ends with entry 1" in detail for detail in failed(settings, story.store, anchor))
    story.store.put_json(layout.ledger_entry(2), {"seq": 2})
    assert failed(settings, story.store, anchor) != []
    del first, now


def test_a_rollback_leaves_every_anchor_valid(settings: Settings, story: Story) -> None:
    first = promote_model(settings, story.store, judge(settings, story, "first"))
    promote_model(settings, story.store, judge(settings, story, "second", "better"))
    anchors = [Anchor.of(entry) for entry in ledger.read_ledger(story.store)]
    rollback(settings, story.store, first.version, ChangeRequest(reason="false alarms"))
    assert failed(settings, story.store, *anchors) == []


def test_a_machine_that_saw_a_champion_takes_no_older_one(
    signing: Settings, story: Story, tmp_path: Path
) -> None:
    deployed = signing.model_copy(update={"signing_key": None, "anchor_file": tmp_path / "seen.json"})
    promote_model(signing, story.store, judge(signing, story, "first"))
    before = story.store.read(layout.CHAMPION)
    promote_model(signing, story.store, judge(signing, story, "second", "better"))
    download_model(deployed, story.store, tmp_path / "m.keras")
    story.store.put(layout.CHAMPION, before)
    with pytest.raises(CorruptArtefact, match="not the one that was seen") as caught:
        download_model(deployed, story.store, tmp_path / "m.keras")
    assert "seen.json" in str(caught.value)
    other = deployed.model_copy(update={"anchor_file": None})
    assert download_model(other, story.store, tmp_path / "m.keras").signature == "verified"


@pytest.mark.parametrize("given", ["", "7", "0@" + "a" * 32, "7@xyz", "7@" + "A" * 32])
def test_what_is_no_anchor_is_refused(given: str) -> None:
    with pytest.raises(BadConfiguration, match="no anchor"):
        Anchor.parse(given)
