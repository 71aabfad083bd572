"""What every room of a promotion says of evidence that is missing, damaged, or about something else."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from pneumo_tasks.errors import (
    BadConfiguration,
    CorruptArtefact,
    ObjectMissing,
    PromotionRefused,
    StorageUnavailable,
)
from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.evaluation.revisions import revise
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.deciding.decision import decide_promotion, reject_candidate
from pneumo_tasks.promotion.judgement import Decided, read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.signatures import check_signature, sign_document
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.moving.rollback import reset_champion, rollback
from pneumo_tasks.promotion.protocol.activation import activate
from pneumo_tasks.promotion.protocol.document import ApprovalRules, Protocol
from pneumo_tasks.promotion.registry.anchors import Anchor, check_anchor
from pneumo_tasks.promotion.registry.champion import (
    champion_ref,
    list_versions,
    original_version,
    read_manifest,
    read_recorded_manifest,
)
from pneumo_tasks.promotion.registry.change_request import ChangeRequest, person, with_second_person
from pneumo_tasks.promotion.registry.contenders import candidate_of, registered_contenders
from pneumo_tasks.promotion.registry.remembering import check_remembered, remember
from pneumo_tasks.promotion.registry.versions import register_version
from pneumo_tasks.promotion.verifying.signing import end_signing, find_unsigned
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, Stored, sha256
from tests.evaluation.story import SNAPSHOT, Story
from tests.faults.proxy import Proxy, always, refused, writes_of
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair

WHY = ChangeRequest(reason="agreed", by="ada")


def promoted(settings: Settings, story: Story, run_id: str = "first", model: str = "good") -> str:
    return promote_model(settings, story.store, judge(settings, story, run_id, model)).version


def found(settings: Settings, store: ObjectStore, subject: str) -> tuple[str, str]:
    (finding,) = [one for one in verify(settings, store) if one.subject == subject]
    return finding.verdict, finding.detail


def moved(attempt: str, version: str | None, replaces: int, manifest: str | None = None) -> ledger.NewEntry:
    return ledger.NewEntry(
        kind="promoted" if version else "reset", version=version, manifest_sha256=manifest,
        replaces=replaces, attempt=attempt, by="ada", reason="agreed",
    )  # fmt: skip


def test_a_decision_of_an_earlier_release_has_no_document() -> None:
    told = Decided(decision="approved", reason="passed", version="v", sha256="0", document=None)
    assert told.digests == {}


def test_a_ledger_shorter_than_its_anchor_was_cut(store: ObjectStore) -> None:
    seen = Anchor.of(ledger.append(store, moved("a", "v1", 0)))
    with pytest.raises(CorruptArtefact, match="the ledger ends with entry 0"):
        check_anchor(store, [], seen)


def test_an_entry_that_moved_nothing_is_an_anchor_too(store: ObjectStore) -> None:
    refusal = ledger.NewEntry(kind="rejected", version="v0", attempt="r", by="the gate", reason="recall")
    seen = Anchor.of(ledger.append(store, refusal))
    assert check_anchor(store, ledger.read_ledger(store), seen).startswith("0 entries since 1@")


def test_a_ledger_that_names_two_manifests_of_one_version_is_corrupt(store: ObjectStore) -> None:
    ledger.append(store, moved("a", "v1", 0, "1" * 64))
    ledger.append(store, moved("b", "v1", 1, "2" * 64))
    with pytest.raises(CorruptArtefact, match="two manifests of one version"):
        read_recorded_manifest(store, "v1")


def test_a_history_of_resets_alone_has_no_original(store: ObjectStore) -> None:
    ledger.append(store, moved("a", None, 0))
    with pytest.raises(ObjectMissing, match="holds no promotion"):
        original_version(store, 1)


def test_a_history_in_a_circle_is_corrupt(store: ObjectStore) -> None:
    entry = ledger.append(store, moved("a", "v1", 0))
    with pytest.raises(CorruptArtefact, match="runs in a circle"):
        ledger.effective([entry.model_copy(update={"replaces": 1})], 1)


def test_what_is_no_manifest_or_one_of_another_version_is_named(settings: Settings, story: Story) -> None:
    store, version = story.store, promoted(settings, story)
    store.put(layout.model("0dd", "manifest.json"), store.read(layout.model(version, "manifest.json")))
    with pytest.raises(CorruptArtefact, match="a manifest of another version"):
        read_manifest(store, "0dd")
    store.put(layout.model("0dd", "manifest.json"), b"{}")
    with pytest.raises(CorruptArtefact, match="not a manifest"):
        read_manifest(store, "0dd")


def test_a_version_that_stopped_half_way_is_in_no_list_and_a_note_of_the_check(
    settings: Settings, story: Story
) -> None:
    version = promoted(settings, story)
    story.store.put(layout.model("0dd", "model.keras"), b"half")
    assert [one.version for one in list_versions(story.store)] == [version]
    verdict, detail = found(settings, story.store, "0dd")
    assert (verdict, detail[:11]) == ("note", "no manifest")


def test_a_version_without_its_candidate_asks_no_film(settings: Settings, story: Story) -> None:
    manifest = read_manifest(story.store, promoted(settings, story))
    bare = manifest.model_copy(update={"version": "ba4e", "files": {}})
    story.store.put_json(layout.model("ba4e", "manifest.json"), bare.model_dump(mode="json"))
    with pytest.raises(ObjectMissing, match="without its candidate"):
        registered_contenders(story.store)


def test_a_run_without_a_candidate_is_no_contender(settings: Settings, story: Story) -> None:
    assert candidate_of(story.store, "nobody") is None
    judge(settings, story, "first")
    assert candidate_of(story.store, "first") is not None
    story.run("first", "weak")
    assert candidate_of(story.store, "first") is None, "training ran again after the evaluation"


def test_a_missing_protocol_and_a_decision_that_is_none_are_findings(
    settings: Settings, story: Story
) -> None:
    promoted(settings, story)
    kept = layout.run("first", "protocol.json")
    body = story.store.read(kept)
    story.store.client.delete_object(Bucket=story.store.bucket, Key=kept)
    verdict, detail = found(settings, story.store, "protocols")
    assert verdict == "fail"
    assert "the protocol of a decision is missing" in detail
    story.store.put(kept, body)
    (document,) = [entry.decision for entry in ledger.read_ledger(story.store) if entry.decision]
    story.store.put(document.key, b"{}")
    assert "not a decision" in found(settings, story.store, "protocols")[1]


def test_a_version_that_is_not_the_approved_one_is_not_promoted(settings: Settings, story: Story) -> None:
    judge(settings, story, "first")
    other = read_decision(story.store, "first").model_copy(update={"version": "0dd"})
    story.store.put_json(layout.run("first", "decision.json"), other.model_dump(mode="json"))
    for listed in list(story.store.list_objects(layout.run("first", "revisions/"))):
        if "decision" in listed.key:
            story.store.client.delete_object(Bucket=story.store.bucket, Key=listed.key)
    with pytest.raises(CorruptArtefact, match="not the one that was approved"):
        promote_model(settings, story.store, "first")
    assert champion_ref(story.store) is None


def test_training_that_ran_again_is_registered_by_nobody(settings: Settings, story: Story) -> None:
    judge(settings, story, "first")
    judged = read_evaluation(story.store, "first")
    story.run("first", "weak")
    with pytest.raises(CorruptArtefact, match=r"digest differs|not the one that was evaluated"):
        register_version(settings, story.store, "first")
    assert not story.store.exists(layout.model(judged.version, "manifest.json"))


def test_an_evaluation_that_names_another_version_than_its_candidate_registers_nothing(
    settings: Settings, story: Story
) -> None:
    judge(settings, story, "first")
    other = read_evaluation(story.store, "first").model_copy(update={"version": "0dd"})
    told = revise(story.store, "first", "evaluation", other.model_dump(mode="json"))
    with pytest.raises(CorruptArtefact, match="not the one that was evaluated"):
        register_version(settings, story.store, "first", told)
    assert not story.store.exists(layout.model("0dd", "manifest.json"))


def test_a_promotion_that_another_worker_has_just_finished_is_not_made_twice(
    settings: Settings, story: Story
) -> None:
    run_id = judge(settings, story, "first")

    # At the second look at the pointer: the first one finds that nobody has promoted this run yet.
    meanwhile = [lambda: promote_model(settings, story.store, run_id), lambda: None]

    class Overtaken(ObjectStore):
        def get(self, key: str, expected_sha256: str | None = None) -> Stored:
            if key == layout.CHAMPION and meanwhile:
                meanwhile.pop()()
            return super().get(key, expected_sha256)

    mine = promote_model(settings, Overtaken(story.store.client, story.store.bucket), run_id)
    champion = champion_ref(story.store)
    assert champion is not None
    assert champion.version == mine.version
    assert not meanwhile
    assert [entry.kind for entry in ledger.read_ledger(story.store)] == ["promoted"]


def test_an_entry_that_is_always_overtaken_is_to_be_tried_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = ledger.NewEntry(kind="reset", version=None, attempt="mine", by="ada", reason="agreed")

    class Overtaken(ObjectStore):
        def put_if_absent(self, key: str, body: bytes) -> None:
            ledger.append(story.store, entry.model_copy(update={"attempt": f"before {key}"}))
            super().put_if_absent(key, body)

    monkeypatch.setattr(ledger, "_ATTEMPTS", 3)
    with pytest.raises(StorageUnavailable, match="3 attempts met another writer"):
        ledger.append(Overtaken(story.store.client, story.store.bucket), entry)
    assert [e.attempt for e in ledger.read_ledger(story.store)] == [
        f"before {layout.ledger_entry(seq)}" for seq in (1, 2, 3)
    ]


def test_nothing_is_remembered_where_no_file_is_set_or_nothing_was_promoted(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    remember(settings, store)
    at = settings.model_copy(update={"anchor_file": tmp_path / "anchors.json"})
    remember(at, store)
    assert not (tmp_path / "anchors.json").exists()
    check_remembered(at, store)


def test_a_memory_that_cannot_be_read_is_no_reason_to_forget(
    settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "anchors.json").write_text("{not json")
    with pytest.raises(CorruptArtefact, match="what this machine remembers cannot be read"):
        check_remembered(settings.model_copy(update={"anchor_file": tmp_path / "anchors.json"}), store)


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    assert person() == "uid 987654"


def test_the_pointer_is_not_moved_by_hand_without_a_reason(settings: Settings, story: Story) -> None:
    promoted(settings, story)
    with pytest.raises(BadConfiguration, match="a reason is missing"):
        reset_champion(settings, story.store, ChangeRequest(reason=" ", by="ada"))


def test_a_reset_is_what_the_check_says_and_no_version_is_live(settings: Settings, story: Story) -> None:
    version = promoted(settings, story)
    reset_champion(settings, story.store, WHY)
    assert found(settings, story.store, "champion") == ("pass", "reset by entry 2")
    assert rollback(settings, story.store, version, WHY).version == version


def test_a_key_of_another_kind_is_named_and_never_shown() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    secret = private.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    signing = Settings(signing_key=SecretStr(secret))
    with pytest.raises(BadConfiguration, match="PNEUMO_SIGNING_KEY is no Ed25519 key") as caught:
        sign_document(signing, "k", b"body")
    assert secret[40:80] not in str(caught.value)
    strict = Settings(require_signature=True)
    with pytest.raises(BadConfiguration, match="no key to sign with"):
        sign_document(strict, "k", b"body")
    assert sign_document(Settings(), "k", b"body") is None
    assert public.startswith("-----BEGIN PUBLIC KEY")


@pytest.mark.parametrize(("given", "told"), [("nonsense", "cannot be read"), ("rsa", "is no Ed25519 key")])
def test_a_trusted_key_that_is_none_stops_the_check(
    settings: Settings, story: Story, given: str, told: str
) -> None:
    private, _ = key_pair()
    version = promoted(settings.model_copy(update={"signing_key": private}), story)
    if given == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        given = key.public_bytes(serialization.Encoding.PEM, form).decode()
    with pytest.raises(BadConfiguration, match=f"PNEUMO_TRUSTED_KEY {told}"):
        check_signature(settings.model_copy(update={"trusted_key": given}), story.store, version)


def test_signing_neither_ends_nor_begins_without_what_it_needs(settings: Settings, story: Story) -> None:
    with pytest.raises(PromotionRefused, match="needs a reason"):
        end_signing(settings, story.store, ChangeRequest(reason="", by="ada"))
    with pytest.raises(PromotionRefused, match="this bucket is not signed"):
        end_signing(settings, story.store, WHY)
    with pytest.raises(BadConfiguration, match="no key to sign with"):
        find_unsigned(settings, story.store)


def test_an_unsigned_decision_is_refused_in_a_signed_bucket(settings: Settings, story: Story) -> None:
    private, _ = key_pair()
    signing = settings.model_copy(update={"signing_key": private})
    promoted(signing, story)
    judge(settings, story, "second", "better")
    with pytest.raises((BadConfiguration, CorruptArtefact), match="signed"):
        promote_model(settings, story.store, "second")
    with pytest.raises(CorruptArtefact, match="this bucket is"):
        promote_model(signing, story.store, "second")


def test_a_candidate_that_is_the_champion_changes_nothing_in_a_dry_run(
    settings: Settings, story: Story
) -> None:
    story.run("first", version="same")
    evaluate_candidate(settings, story.store, "first", SNAPSHOT, None)
    decide_promotion(settings, story.store, "first", SNAPSHOT)
    promote_model(settings, story.store, "first")
    story.run("again", version="same")
    dry = settings.model_copy(update={"dry_run": True})
    evaluate_candidate(dry, story.store, "again", SNAPSHOT, champion_ref(story.store))
    assert decide_promotion(dry, story.store, "again", SNAPSHOT).decision == "identical"
    assert len(ledger.read_ledger(story.store)) == 1


def test_an_anchor_of_another_history_is_told(store: ObjectStore) -> None:
    ledger.append(store, moved("a", "v1", 0))
    with pytest.raises(CorruptArtefact, match="entry 1 has the digest"):
        check_anchor(store, ledger.read_ledger(store), Anchor(1, "0" * 32))


def test_a_refusal_that_came_after_what_was_told_holds(settings: Settings, story: Story) -> None:
    judge(settings, story, "first")
    told = decide_promotion(settings, story.store, "first", SNAPSHOT)
    no = Approval(verdict="reject", by="ada", reason="blurred films", at="2026-11-27T10:00:00+00:00")
    reject_candidate(settings, story.store, "first", no)
    with pytest.raises(PromotionRefused):
        promote_model(settings, story.store, "first", judged=told.document)
    assert champion_ref(story.store) is None


def test_a_candidate_that_a_later_judgement_approves_is_promoted(settings: Settings, story: Story) -> None:
    strict = settings.model_copy(update={"min_test_patients": 1000})
    judge(strict, story, "first")
    assert [entry.kind for entry in ledger.read_ledger(story.store)] == ["rejected"]
    assert decide_promotion(settings, story.store, "first", SNAPSHOT).decision == "approved"
    assert promote_model(settings, story.store, "first").version


def test_a_person_who_says_no_moves_no_pointer(settings: Settings, story: Story) -> None:
    promoted(settings, story)
    no = Approval(verdict="reject", by="grace", reason="not today", at="2026-11-27T10:00:00+00:00")
    with pytest.raises(PromotionRefused):
        reset_champion(settings, story.store, ChangeRequest(reason="agreed", by="ada", approval=no))
    assert champion_ref(story.store) is not None


def test_a_change_by_hand_that_meets_another_says_so(
    proxy: Proxy, settings: Settings, settings_behind: Settings, story: Story
) -> None:
    promoted(settings, story)
    proxy.rule = always(refused(412, "PreconditionFailed"), writes_of(layout.CHAMPION))
    with pytest.raises(PromotionRefused, match="the champion changed meanwhile"):
        reset_champion(settings_behind, ObjectStore.connect(settings_behind), WHY)
    assert champion_ref(story.store) is not None


def test_a_second_person_is_asked_with_a_reason_alone(settings: Settings, story: Story) -> None:
    rules = ApprovalRules(approvers=("ada", "grace"), min_reason_letters=10)
    protocol = Protocol.of(settings).model_copy(update={"approval": rules})
    activate(settings, story.store, protocol, "ada", "agreed in the meeting of May")
    with pytest.raises(BadConfiguration, match="a reason is missing"):
        with_second_person(settings, story.store, "reset", "champion", " ")


def test_a_signed_entry_that_was_cut_is_missed(settings: Settings, story: Story) -> None:
    private, _ = key_pair()
    signing = settings.model_copy(update={"signing_key": private})
    promoted(signing, story)
    reset_champion(signing, story.store, WHY)
    story.store.client.delete_object(Bucket=story.store.bucket, Key=layout.ledger_entry(2))
    story.store.client.delete_object(Bucket=story.store.bucket, Key=layout.CHAMPION)
    verdict, detail = found(signing, ObjectStore.connect(signing), "signatures")
    assert (verdict, "a signed entry is missing" in detail) == ("fail", True)


def test_the_onnx_file_of_a_candidate_is_a_file_of_its_version(settings: Settings, story: Story) -> None:
    body = b"the same graph"
    story.run("first", onnx={"sha256": sha256(body), "bytes": len(body), "opset": 15, "parity": 0.0})
    story.store.put(layout.run("first", "candidate.onnx"), body)
    evaluate_candidate(settings, story.store, "first", SNAPSHOT, None)
    decide_promotion(settings, story.store, "first", SNAPSHOT)
    version = promote_model(settings, story.store, "first").version
    assert read_manifest(story.store, version).files["model.onnx"] == sha256(body)
