"""What the demo hands in, judged by the real intake."""

from pathlib import Path

import pytest

from pneumo_tasks.intake.validation import validate_batch
from pneumo_tasks.local import demo_data
from pneumo_tasks.local.demo_data import hand_in, phantom_batches
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore


def test_every_fault_of_the_first_batch_is_named_by_a_rule_of_its_own_and_the_batch_is_accepted(
    settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_data, "TRAIN_PER_LABEL", 60)  # fewer sound films: the faults weigh more
    monkeypatch.setattr(demo_data, "TEST_PER_LABEL", 30)
    train, test = phantom_batches(tmp_path / "phantoms")
    for handover in (train, test):
        assert hand_in(settings, store, handover, lambda *_: None)
    verdict = validate_batch(settings, store, train.batch_id)
    assert verdict.state == "accepted"
    found = {rejection.file.split("/")[-1]: rejection.rule for rejection in verdict.rejected}
    assert found["IM-9001-0001.jpeg"] == "decodable"
    assert found["IM-9002-0001.jpeg"] == "not-blank"
    assert found["person9003_virus_1.jpeg"] == "one-label"
    assert found["person9004_bacteria_1.jpeg"] == "format"
    assert sorted(found.values()) == sorted(
        ["decodable", "not-blank", "no-duplicate", "one-label", "one-label", "format"]
    )
    assert validate_batch(settings, store, test.batch_id).quarantined == 0
