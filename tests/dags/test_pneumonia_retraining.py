"""The whole road, from an uploaded folder to a champion: the first run by the DAG, later ones by a person.

Both are doors to one pipeline, and the second goes on with what the first left in the bucket.
"""

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
PROJECT = Path(__file__).resolve().parents[2]

STAGES = [
    "discover_batches", "validate_batch", "assemble_dataset", "compute_class_balance", "extract_features",
    "score_unseen", "train_head", "fine_tune_block5", "export_candidate", "evaluate_candidate",
    "decide_promotion", "write_report", "promote_model",
]  # fmt: skip

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

    def runs_the_dag(self, **params: object) -> Any:
        """The DAG's own tasks, one after the other in one process, by Airflow's test runner."""
        command = [
            sys.executable,
            "-m",
            "tests.dags.dag_run",
            str(self.folder / "airflow"),
            json.dumps(params),
        ]
        done = subprocess.run(
            command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return self.types("runs", "show", done.stdout.split()[-1])


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
        "PNEUMO_TEST_SENDERS": "*",
        "PNEUMO_MIN_TEST_PATIENTS": "2",
        "PNEUMO_RECALL_MARGIN": "0.5",
        "PNEUMO_ORIGINAL_RECALL_MARGIN": "0.5",
        "PNEUMO_ORIGINAL_PRECISION_MARGIN": "0.5",
        "PNEUMO_PRECISION_MARGIN": "0.5",
        "PNEUMO_FREE_STEP": "0.5",
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
    return person.runs_the_dag()


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
    assert [stage["name"] for stage in first_run["stages"]] == STAGES
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
    words = ("retrain", "--set", "force=true", "--set", "class_weights=1:3")
    refused = person.types(*words, PNEUMO_MIN_TEST_PATIENTS="1000")
    assert (refused["state"], refused["decision"]) == ("success", "rejected")
    assert [stage["name"] for stage in refused["stages"]] == [
        stage for stage in STAGES if stage not in ("validate_batch", "promote_model")
    ]
    failed = [rule for rule in refused["rules"] if rule["verdict"] == "fail"]
    assert failed
    assert all(rule["value"] < rule["limit"] for rule in failed if rule["value"] is not None)
    assert person.types("models", "champion") == before
    assert person.types("runs", "show", refused["run_id"]) == refused


def test_a_candidate_that_a_person_has_to_approve_waits_for_a_word_on_the_command_line(
    person: Person, first_run: dict[str, Any]
) -> None:
    before = person.types("models", "champion")
    easy = {
        f"PNEUMO_{name}": "0.3" for name in ("MIN_RECALL", "MIN_PRECISION", "MIN_AUC", "SLICE_MIN_RECALL")
    }
    words = ("retrain", "--set", "force=true", "--set", "seed=8", "--set", "require_approval=true")
    waiting = person.types(*words, expect=4, **easy)
    assert (waiting["state"], waiting["decision"]) == ("waiting", None), waiting["reason"]
    assert person.types("models", "champion") == before
    person.types("models", "approve", waiting["run_id"], "--reason", "", expect=1, **easy)
    person.types("models", "approve", waiting["run_id"], "--reason", "looked at every miss", **easy)
    assert person.types("models", "champion")["run_id"] == waiting["run_id"]
    assert person.types("runs", "show", waiting["run_id"])["decision"] == "promoted"
    assert all(finding["verdict"] != "fail" for finding in person.types("models", "verify"))


def test_a_looser_value_is_refused_before_anything_runs(person: Person, first_run: dict[str, Any]) -> None:
    runs = person.types("runs", "list")
    for loosened in ("min_recall=0", "recall_margin=1", "threshold_policy=youden"):
        person.types("retrain", "--set", loosened, expect=1)
    assert person.types("runs", "list") == runs


def test_a_param_that_is_not_one_is_refused_before_anything_runs(person: Person) -> None:
    person.types("retrain", "--set", "s3_endpoint=http://elsewhere", expect=1)
