"""The whole road, from an uploaded folder to a champion, through the same commands a person types."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pneumo_tasks.local.phantoms import draw_phantoms, write_phantoms
from pneumo_tasks.local.seaweedfs import S3Server
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore

PNEUMO = Path(sys.executable).parent / "pneumo"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Person:
    """Somebody at a terminal, in a folder of their own, with one bucket."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def types(self, *words: str, expect: int = 0, **more: str) -> Any:
        done = subprocess.run(
            [PNEUMO, *words, "--json"], cwd=self.folder, env={**self.environment, **more},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == expect, done.stderr[-4000:]
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Person:
    folder = tmp_path_factory.mktemp("person")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PNEUMO_", "AIRFLOW"))
    }
    environment |= {
        "PNEUMO_S3_ENDPOINT": s3_server.endpoint,
        "PNEUMO_BUCKET": "whole-road",
        "PNEUMO_DEMO": "true",
        "PNEUMO_MIN_TEST_PATIENTS": "2",
        "PNEUMO_RECALL_MARGIN": "0.5",
        "PNEUMO_ORIGINAL_RECALL_MARGIN": "0.5",
        "PNEUMO_ORIGINAL_PRECISION_MARGIN": "0.5",
        "PNEUMO_PRECISION_MARGIN": "0.5",
        "PNEUMO_BACKBONE_WEIGHTS": "random",
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }
    own = Settings.load(
        {
            "s3_endpoint": s3_server.endpoint,
            "bucket": "whole-road",
            "s3_access_key": s3_server.access_key,
            "s3_secret_key": s3_server.secret_key,
        }
    )
    ObjectStore.connect(own).ensure_bucket()
    write_phantoms(folder / "images", draw_phantoms(train_per_label=45, test_per_label=18))
    return Person(folder, environment)


@pytest.fixture(scope="module")
def spoiled(person: Person) -> Path:
    """The training folder with four files that must not reach training."""
    train = person.folder / "images" / "train"
    good = sorted((train / "NORMAL").iterdir())[0].read_bytes()
    (train / "NORMAL" / "IM-9001-0001.jpeg").write_bytes(good[: len(good) // 2])
    (train / "NORMAL" / "IM-9002-0001.jpeg").write_text("<!doctype html><title>Not found</title>")
    (train / "PNEUMONIA" / "person9003_virus_1.jpeg").write_bytes(b"")
    other = draw_phantoms(seed=1, train_per_label=1, test_per_label=0)[0]
    (train / "COVID").mkdir()
    Image.fromarray(other.pixels).save(train / "COVID" / "person9004_virus_1.jpeg")
    return train


@pytest.fixture(scope="module")
def first_run(person: Person, spoiled: Path) -> dict[str, Any]:
    assert person.types("models", "champion", expect=3) is None
    person.types("batch", "upload", str(spoiled), "--batch-id", "train-1", "--split", "train")
    person.types("batch", "upload", str(spoiled.parent / "test"), "--batch-id", "test-1", "--split", "test")
    return person.types("retrain")


def test_a_first_run_promotes_a_model_that_was_really_trained(
    person: Person, first_run: dict[str, Any]
) -> None:
    assert first_run["state"] == "success"
    assert first_run["decision"] == "promoted", first_run["reason"]
    champion = person.types("models", "champion")
    assert champion["run_id"] == first_run["run_id"]
    assert champion["version"] == first_run["version"]
    test = champion["test"]
    assert test["images"] == 36
    assert sum(test["confusion"].values()) == 36
    assert test["recall"] >= 0.95
    assert test["precision"] >= 0.90
    assert [stage["name"] for stage in first_run["stages"]][-1] == "promote_model", first_run["stages"]
    assert {rule["verdict"] for rule in first_run["rules"]} == {"pass"}


def test_the_bad_files_are_quarantined_each_with_its_reason_and_the_rest_is_used(
    person: Person, first_run: dict[str, Any]
) -> None:
    batch = person.types("batch", "show", "train-1")
    assert batch["state"] == "accepted"
    rejected = {entry["file"].split("/")[-1]: entry["rule"] for entry in batch["rejected"]}
    assert set(rejected) == {
        "IM-9001-0001.jpeg", "IM-9002-0001.jpeg", "person9003_virus_1.jpeg", "person9004_virus_1.jpeg",
    }  # fmt: skip
    assert all(entry["rule"] and entry["value"] is not None for entry in batch["rejected"])
    assert rejected["person9004_virus_1.jpeg"] != rejected["IM-9002-0001.jpeg"]
    assert (batch["accepted"], batch["quarantined"]) == (batch["images"] - 4, 4)
    assert batch["accepted"] == 90


def test_the_champion_answers_for_single_files(person: Person, first_run: dict[str, Any]) -> None:
    files = [next((person.folder / "images/test" / label).iterdir()) for label in ("NORMAL", "PNEUMONIA")]
    answers = person.types("predict", *map(str, files))
    assert [answer["file"] for answer in answers] == list(map(str, files))
    assert all(0 <= answer["probability"] <= 1 for answer in answers)
    assert {answer["version"] for answer in answers} == {first_run["version"]}
    assert answers[0]["probability"] < answers[1]["probability"]


def test_a_second_run_without_new_images_ends_early_and_says_so(
    person: Person, first_run: dict[str, Any]
) -> None:
    second = person.types("retrain")
    assert (second["state"], second["decision"]) == ("success", "nothing-new")
    assert "no new image" in second["reason"]
    assert "train_head" not in [stage["name"] for stage in second["stages"]]
    assert person.types("runs", "list")[0]["run_id"] == second["run_id"]


def test_a_floor_that_is_not_reached_refuses_the_candidate_and_leaves_the_champion(
    person: Person, first_run: dict[str, Any]
) -> None:
    before = person.types("models", "champion")
    refused = person.types(
        "retrain", "--set", "force=true", "--set", "class_weights=1:3",
        PNEUMO_MIN_RECALL="1.0", PNEUMO_MIN_PRECISION="1.0", PNEUMO_TARGET_RECALL="0.5",
    )  # fmt: skip
    assert (refused["state"], refused["decision"]) == ("success", "rejected")
    failed = [rule for rule in refused["rules"] if rule["verdict"] == "fail"]
    assert failed
    assert all(rule["value"] < rule["limit"] for rule in failed if rule["value"] is not None)
    assert person.types("models", "champion") == before
    assert person.types("runs", "show", refused["run_id"]) == refused


def test_a_param_that_is_not_one_is_refused_before_anything_runs(person: Person) -> None:
    person.types("retrain", "--set", "s3_endpoint=http://elsewhere", expect=1)
