"""The promoter dies, or loses the answer, at every step of the protocol; a retry must mend it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pneumo_tasks.errors import StorageUnavailable, UnsafeStore
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.story import SNAPSHOT, Story
from tests.promotion.judging import judge

WRITES = 4 + 1 + 1 + 1 + 1  # the version's files, its manifest, ledger, pointer, promotion.json


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Faulty(ObjectStore):
    """Fails at its n-th write: before it, after it, or by losing the answer of a write that arrived."""

    def __init__(self, store: ObjectStore, number: int, fault: str) -> None:
        super().__init__(store.client, store.bucket)
        self.left, self.fault = number, fault

    def _put(self, key: str, body: bytes, content_type: str, **condition: Any) -> str:
        if key.startswith(layout.STORE_PROBES):
            return super()._put(key, body, content_type, **condition)
        self.left -= 1
        if self.left == 0 and self.fault == "killed before":
            raise Killed(key)
        etag = super()._put(key, body, content_type, **condition)
        if self.left == 0 and self.fault == "killed after":
            raise Killed(key)
        if self.left == 0 and self.fault == "answer lost":
            raise StorageUnavailable("the object store did not answer", where=key)
        if self.left == 0 and self.fault == "repeated":  # the client's own retry of an arrived write
            return super()._put(key, body, content_type, **condition)
        return etag


class Deaf(ObjectStore):
    """A store that answers 200 to any conditional write."""

    def _put(self, key: str, body: bytes, content_type: str, **_: Any) -> str:
        return super()._put(key, body, content_type)


def sound(settings: Settings, store: ObjectStore) -> bool:
    return all(finding.verdict == "pass" for finding in verify(settings, store))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed before", "killed after", "answer lost", "repeated"])
def test_a_retry_mends_a_fault_at_any_write(settings: Settings, story: Story, fault: str) -> None:
    for number in range(1, WRITES + 1):
        run_id = judge(settings, story, f"run-{number}", "better" if number % 2 else "good")
        faulty = Faulty(story.store, number, fault)
        try:
            promote_model(settings, faulty, run_id)
        except (Killed, StorageUnavailable):
            assert faulty.left == 0
            promoted = promote_model(settings, story.store, run_id)
        else:
            assert faulty.left <= 0  # the fault was met
            # A lost answer to a file that is written once is settled by reading what is stored.
            assert fault in ("repeated", "answer lost") or number >= WRITES - 1
            promoted = promote_model(settings, story.store, run_id)
        champion = read_champion(story.store)
        assert champion is not None
        assert (champion.version, champion.seq) == (promoted.version, promoted.seq)
        assert sound(settings, story.store)
    entries = ledger.read_ledger(story.store)
    assert len(entries) == WRITES
    assert len(ledger.effective(entries, entries[-1].seq)) == len(entries)


def test_a_store_that_ignores_conditions_gets_no_champion(settings: Settings, story: Story) -> None:
    run_id = judge(settings, story, "first")
    deaf = Deaf(story.store.client, story.store.bucket)
    with pytest.raises(UnsafeStore, match="ignored If-None-Match"):
        promote_model(settings, deaf, run_id)
    decide_promotion(settings, deaf, run_id, SNAPSHOT)
    decision = read_decision(story.store, run_id)
    assert decision.decision == "rejected"
    assert "ignored If-None-Match" in decision.reason
    assert read_pointer(story.store) == (None, None)
    assert ledger.read_ledger(story.store) == []


def approved(settings: Settings, story: Story, count: int) -> list[str]:
    """Approved candidates, each measured and judged when there was no champion."""
    return [judge(settings, story, f"run-{number:02d}") for number in range(count)]


@pytest.mark.parametrize(
    "count", [3, pytest.param(8, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.stress)]
)
def test_promoters_at_once_leave_one_champion_and_an_unbroken_chain(
    settings: Settings, story: Story, count: int
) -> None:
    promoters = approved(settings, story, count)
    script = Path(__file__).with_name("promoters.py")
    done = subprocess.run(
        [sys.executable, script, *promoters],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), **os.environ},
    )
    outcomes = json.loads(done.stdout)
    entries = ledger.read_ledger(story.store)
    assert {entry.run_id for entry in entries} == set(promoters)
    champion = read_champion(story.store)
    assert champion is not None
    live = ledger.effective(entries, champion.seq)
    won = {run_id for run_id, outcome in outcomes.items() if outcome == "promoted"}
    assert won == {entry.run_id for entry in live}
    assert set(outcomes.values()) <= {"promoted", "PromotionRefused"}
    assert sound(settings, story.store)
