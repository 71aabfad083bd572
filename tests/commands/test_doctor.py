import json
import re
from collections import namedtuple

import pytest
from typer.testing import CliRunner

from pneumo_tasks.cli import app
from pneumo_tasks.commands.doctor import DoctorLine, examine, python_patches
from pneumo_tasks.storage.object_store import ObjectStore


def findings() -> dict[str, DoctorLine]:
    return {finding.name: finding for finding in examine()}


def test_a_healthy_place_passes_every_line(store: ObjectStore) -> None:
    found = findings()
    assert all(finding.good for finding in found.values()), found
    assert list(found) == [
        "settings", "schedule", "credentials", "store", "permissions", "conditional writes", "local disk",
        "strangers in the bucket", "backbone weights", "gpu", "airflow connection",
        "airflow pool", "python",
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


def test_the_next_dates_of_the_schedule_are_shown(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_SCHEDULE", "30 4 * * 1")
    assert re.fullmatch(r"30 4 \* \* 1: (Mon \d{4}-\d\d-\d\d 04:30(, )?){3} UTC", findings()["schedule"].seen)
    monkeypatch.setenv("PNEUMO_SCHEDULE", "none")
    assert "turned off" in findings()["schedule"].seen


@pytest.mark.parametrize("schedule", ["every sunday", "61 3 * * 0", "0 3 * *", "0 3 * * 0 7 8"])
def test_a_schedule_that_no_scheduler_can_read_is_refused(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    monkeypatch.setenv("PNEUMO_SCHEDULE", schedule)
    (line,) = findings().values()
    assert not line.good
    assert "no cron expression" in line.seen


def test_scripts_read_stable_names_and_an_exit_code(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke
    healthy = run(app, ["doctor", "--json"])
    assert healthy.exit_code == 0
    assert [line["name"] for line in json.loads(healthy.stdout)][:3] == [
        "settings",
        "schedule",
        "credentials",
    ]
    monkeypatch.setenv("PNEUMO_BACKBONE_WEIGHTS", "/nowhere/vgg16.weights.h5")
    assert run(app, ["doctor", "--json"]).exit_code == 1
    monkeypatch.setenv("PNEUMO_S3_ENDPOINT", "http://127.0.0.1:9")
    assert run(app, ["doctor", "--json"]).exit_code == 2


@pytest.mark.parametrize(
    ("running", "oldest"),
    [((3, 11, 7), "3.11.14"), ((3, 11, 13), "3.11.14"), ((3, 12, 11), "3.12.12"), ((3, 13, 5), "3.13.6"),
     ((3, 11, 14), ""), ((3, 12, 12), ""), ((3, 14, 0), "")],
)  # fmt: skip
def test_an_old_patch_of_python_is_a_warning_with_the_number(
    running: tuple[int, int, int], oldest: str
) -> None:
    said = python_patches(running)
    assert said.startswith("warning: ") is bool(oldest)
    assert oldest in said
    assert ".".join(map(str, running)) in said


@pytest.mark.slow
def test_an_old_patch_of_python_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    old = namedtuple("old", ("major", "minor", "micro", "releaselevel", "serial"))
    monkeypatch.setattr("sys.version_info", old(3, 11, 7, "final", 0))
    (line,) = [found for found in examine() if found.name == "python"]
    assert line.good
    assert "CVE-2025-8194" in line.seen
