"""One key follows another: both are trusted for a while, then the former one is taken away."""

from pathlib import Path

import pytest

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.versions import download_model
from pneumo_tasks.promotion.verifying.signing import find_unsigned, sign_history
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import Story
from tests.promotion.judging import judge
from tests.promotion.keys import key_pair


def failed(settings: Settings) -> list[str]:
    findings = verify(settings, ObjectStore.connect(settings))
    return [f"{finding.subject}: {finding.detail}" for finding in findings if finding.verdict == "fail"]


def promoted(settings: Settings, models: dict[str, bytes], *judged: str) -> str:
    store = ObjectStore.connect(settings)
    run_id = judge(settings, Story(store, models), *judged)
    return str(promote_model(settings, store, run_id).version)


def test_what_a_former_key_signed_is_verified_until_the_new_one_has_signed_it_too(
    settings: Settings, store: ObjectStore, tiny_models: dict[str, bytes], tmp_path: Path
) -> None:
    (former, its_public), (private, public) = key_pair(), key_pair()
    old = settings.model_copy(update={"signing_key": former, "trusted_key": its_public})
    both = settings.model_copy(update={"signing_key": private, "trusted_key": its_public + public})
    new = both.model_copy(update={"trusted_key": public})
    first = promoted(old, tiny_models, "first")
    assert failed(both) == []
    second = promoted(both, tiny_models, "second", "better")
    assert failed(both) == []
    with pytest.raises(CorruptArtefact, match="not trusted"):
        download_model(new, ObjectStore.connect(new), tmp_path / "m.keras", first)
    with pytest.raises(CorruptArtefact, match="not trusted"):
        find_unsigned(new, ObjectStore.connect(new))  # who does not trust it signs none of its documents
    found = find_unsigned(both, ObjectStore.connect(both))
    signed = sign_history(both, ObjectStore.connect(both), found)
    assert set(signed) == {layout.model(first, "manifest.json"), layout.ledger_entry(1)}
    assert find_unsigned(both, ObjectStore.connect(both)) == []
    assert failed(new) == []
    for version in (first, second):
        found_model = download_model(new, ObjectStore.connect(new), tmp_path / "m.keras", version)
        assert found_model.signature == "verified"


def test_the_tally_of_a_former_key_is_taken_over_although_there_is_nothing_else_to_sign(
    settings: Settings, store: ObjectStore
) -> None:
    (former, its_public), (private, public) = key_pair(), key_pair()
    old = settings.model_copy(update={"signing_key": former, "trusted_key": its_public})
    ObjectStore.connect(old).put_once(layout.withdrawal("one"), b"1")
    both = settings.model_copy(update={"signing_key": private, "trusted_key": its_public + public})
    new = ObjectStore.connect(both.model_copy(update={"trusted_key": public}))
    with pytest.raises(CorruptArtefact, match="not signed by a trusted key"):
        new.read(layout.withdrawal("one"))
    for _ in range(2):
        sign_history(both, ObjectStore.connect(both), [])
    assert ObjectStore.connect(both.model_copy(update={"trusted_key": public})).read(
        layout.withdrawal("one")
    ) == b"1"  # fmt: skip
    assert not store.exists(layout.tally_entry(3)), "once"
