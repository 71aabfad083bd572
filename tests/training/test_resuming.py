import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training import recipes
from pneumo_tasks.training.export.candidate import read_candidate
from pneumo_tasks.training.export.exporting import export_candidate
from pneumo_tasks.training.features.extract import extract_features
from pneumo_tasks.training.fitting.fine_tuning import fine_tune
from pneumo_tasks.training.fitting.head import train_head
from tests.training.conftest import SNAPSHOT, write_snapshot
from tests.training.training_process import slow_settings

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def prepared(environment: None, store: ObjectStore, tmp_path: Path) -> Iterator[Settings]:
    """Two runs whose heads are trained, ready for fine-tuning: 'calm' and 'killed'."""
    settings = slow_settings(tmp_path)
    for run_id in ("calm", "killed"):
        write_snapshot(store, run_id=run_id)
        for shard in ("shard0", "shard1"):
            extract_features(settings, store, SNAPSHOT, shard)
        train_head(settings, store, run_id, SNAPSHOT)
    yield settings
    del recipes.RECIPES["slow"]


def _start(run_id: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.training.training_process", run_id, str(folder)]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE)


def _epochs(store: ObjectStore, run_id: str) -> int:
    folder = layout.run(run_id, "fine_tune/checkpoints/")
    return max((int(Path(entry.key).stem) for entry in store.list_objects(folder)), default=0)


def _kill_after(process: "subprocess.Popen[bytes]", store: ObjectStore, epoch: int, seconds: float) -> None:
    while _epochs(store, "killed") < epoch:
        assert process.poll() is None, process.communicate()[1].decode()[-2000:]
        time.sleep(0.05)
    time.sleep(seconds)
    process.kill()
    assert process.wait() == -9, "it had finished before it was killed"


def test_a_killed_training_goes_on_and_ends_where_an_undisturbed_one_does(
    prepared: Settings, store: ObjectStore
) -> None:
    process = _start("killed", prepared.cache_root)
    _kill_after(process, store, 2, 0.2)
    reached = _epochs(store, "killed")
    assert 2 <= reached < 4
    fine_tune(prepared, store, "killed", SNAPSHOT)
    export_candidate(prepared, store, "killed", SNAPSHOT)
    fine_tune(prepared, store, "calm", SNAPSHOT)
    export_candidate(prepared, store, "calm", SNAPSHOT)
    killed, calm = (read_candidate(store, run_id) for run_id in ("killed", "calm"))
    assert killed.weights_sha256 == calm.weights_sha256
    assert killed.sha256 == calm.sha256
    records = [
        store.read_json(layout.run(run, "fine_tune/history.json"))["epochs"] for run in ("killed", "calm")
    ]
    losses = [[epoch.get("loss") for epoch in epochs] for epochs in records]
    assert losses[0] == losses[1]


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_three_kills_at_random_moments_lose_at_most_an_epoch_each(
    prepared: Settings, store: ObjectStore
) -> None:
    moments = random.Random(0)
    for number in range(3):
        before = _epochs(store, "killed")
        process = _start("killed", prepared.cache_root)
        _kill_after(process, store, before + 1, moments.uniform(0.0, 0.5))
        assert _epochs(store, "killed") >= before + 1, f"kill {number} lost a finished epoch"
    fine_tune(prepared, store, "killed", SNAPSHOT)
    export_candidate(prepared, store, "killed", SNAPSHOT)
    fine_tune(prepared, store, "calm", SNAPSHOT)
    export_candidate(prepared, store, "calm", SNAPSHOT)
    assert read_candidate(store, "killed").sha256 == read_candidate(store, "calm").sha256
