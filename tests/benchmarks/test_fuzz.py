"""The fuzz driver: what it draws, what it finds, and a minute of it with one seed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from benchmarks import fuzz
from benchmarks.fuzz_targets import TARGETS, Target
from benchmarks.mutations import chunks_damaged, damaged, document_damaged
from pneumo_tasks.errors import CorruptArtefact
from tests.intake.films import film, png

PROJECT = Path(__file__).parents[2]
MAKERS = {
    "bytes": (damaged, [b"path,label\na,NORMAL\n"]),
    "chunks": (chunks_damaged, [png(film(1))]),
    "document": (document_damaged, [b'{"a": [1, {"b": "c"}]}']),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_an_input_is_the_same_of_the_same_number_and_seldom_of_another(kind: str) -> None:
    make, seeds = MAKERS[kind]
    drawn = [make(Random(number), seeds) for number in range(50)]
    assert drawn == [make(Random(number), seeds) for number in range(50)]
    assert len(set(drawn)) > 30


def target(act: object) -> Target:
    def enter(_: bytes) -> None:
        if isinstance(act, BaseException):
            raise act
        time.sleep(float(act))  # type: ignore[arg-type]

    return Target("own", lambda: [b"x"], damaged, enter)


@pytest.mark.parametrize(
    ("act", "said"),
    [(CorruptArtefact("no film"), ""), (KeyError("x"), "KeyError at test_fuzz.py"), (0.2, "s, limit 0.1 s")],
    ids=["our error", "an error of others", "too long"],
)
def test_what_is_not_ours_and_what_takes_long_is_a_finding(
    act: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "LIMIT_SECONDS", 0.1)
    found = fuzz.play(target(act), 1, 7)
    assert said in found
    assert bool(found) is bool(said)


@pytest.mark.slow
def test_a_minute_with_one_seed_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "benchmarks" / "fuzz.py"), "--minutes", "1", "--seed", "1", "--json"],
        capture_output=True, text=True, timeout=800, check=False,
        env={**os.environ, "PNEUMO_S3_ENDPOINT": "http://127.0.0.1:1"},
    )  # fmt: skip
    tallies = {tally["target"]: tally for tally in json.loads(done.stdout)}
    assert {name: tally["findings"] for name, tally in tallies.items() if tally["findings"]} == {}
    assert tallies.keys() == TARGETS.keys()
    assert all(tally["inputs"] > 5 for tally in tallies.values())
