"""Tasks and the S3 server are killed at random moments; each history ends as one without a kill.

``PNEUMO_TEST_KILLED_HISTORIES`` says how many seeds are tried. A seed plays histories until eight kills
met a stage at work.
"""

import os
import random

import pytest

from tests.faults.worker import History, Worker
from tests.faults.worker import worker as worker

MOST_HISTORIES = 4  # of a seed: where the calm one was slow, most kills of one come too late
SEEDS = range(int(os.environ.get("PNEUMO_TEST_KILLED_HISTORIES", "1")))


@pytest.fixture(scope="module")
def calm(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> tuple[History, dict[str, float]]:
    """A history without a kill, and how many seconds each of its stages took."""
    history = History.new(tmp_path_factory.mktemp("calm"), worker.server, "calm")
    history.open()[1].ensure_bucket()
    took = history.play(worker, random.Random(0), {})
    history.check()
    return history, took


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_of_kills_ends_as_one_without(
    worker: Worker,
    calm: tuple[History, dict[str, float]],
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
) -> None:
    kills = 0
    for name in (f"{seed}-{number}" for number in range(MOST_HISTORIES)):
        print(f"seed {name}")
        history = History.new(tmp_path_factory.mktemp("kills"), worker.server, name)
        history.open()[1].ensure_bucket()
        history.play(worker, random.Random(name), calm[1])
        print(dict(history.kills))
        history.check()
        assert history.outcome() == calm[0].outcome()
        kills += history.kills.total()
        if kills >= 8:
            return
    raise AssertionError(f"{kills} kills met a stage at work in {MOST_HISTORIES} histories")
