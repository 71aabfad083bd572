import pytest

from pneumo_tasks.commands.doctor import Finding, examine
from pneumo_tasks.storage.object_store import ObjectStore


def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_a_healthy_place_passes_every_line(store: ObjectStore) -> None:
    found = findings()
    assert all(finding.good for finding in found.values()), found
    assert list(found) == [
        "settings", "store", "conditional writes", "backbone weights", "gpu", "airflow connection",
    ]  # fmt: skip


def test_a_store_that_is_away_fails_its_lines_and_not_the_others(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", "http://127.0.0.1:9")
    found = findings()
    assert not found["store"].good
    assert not found["conditional writes"].good
    assert found["backbone weights"].good


def test_missing_weights_are_named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_BACKBONE_WEIGHTS", "/nowhere/vgg16.weights.h5")
    weights = findings()["backbone weights"]
    assert not weights.good
    assert "/nowhere/vgg16.weights.h5" in weights.seen
    assert "PNEUMO_BACKBONE_WEIGHTS" in weights.seen


def test_a_required_gpu_that_is_not_there_fails(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow

    if tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("PNEUMO_REQUIRE_GPU", "1")
    assert not findings()["gpu"].good


def test_a_mistyped_variable_is_pointed_out(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_MIN_RECAL", "0.9")
    assert "PNEUMO_MIN_RECAL" in findings()["settings"].seen


def test_impossible_settings_end_the_examination_and_no_secret_is_shown(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_MIN_RECALL", "2")
    monkeypatch.setenv("PNEUMO_S3_SECRET_KEY", "hush-hush")
    found = findings()
    assert list(found) == ["settings"]
    assert "min_recall" in found["settings"].seen
    assert "hush-hush" not in str(found)
