"""Whole histories behind a store that lies and stumbles end as they end without a fault.

``PNEUMO_TEST_FAULTY_HISTORIES`` says how many seeds are tried.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pneumo_tasks.errors import RetryableError
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.promotion.judgement import read_decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import proven_reads
from pneumo_tasks.storage.object_store import ObjectStore
from tests.evaluation.fixtures import tiny_models as tiny_models
from tests.faults import proxy as faults
from tests.faults.proxy import Fault, Proxy, Request
from tests.promotion.history import PERMISSIVE, History, Result, Trainer, discard, in_a_new_bucket

SEEDS = range(int(os.environ.get("PNEUMO_TEST_FAULTY_HISTORIES", "3")))
_SPLITS = ("train", "test", "auto")
SHARE, TRIES = 0.06, 30

READS: tuple[Fault, ...] = (
    faults.flipped, faults.shortened, faults.login_page, faults.error_in_200, faults.nothing_in_200,
    faults.head_only, faults.half_then_closed, faults.half_then_reset, faults.without_etag,
    faults.reset_before, faults.reset_after, faults.refused(500, "InternalError"),
    faults.refused(503, "SlowDown"),
)  # fmt: skip
WRITES: tuple[Fault, ...] = (
    faults.reset_before, faults.reset_after, faults.refused(409, "ConditionalRequestConflict"),
    faults.refused(500, "InternalError"), faults.refused(503, "SlowDown"),
    faults.applied_then_refused(500, "InternalError"), faults.flipped_on_the_way_up,
)  # fmt: skip


@dataclass
class Faulty(History):
    """Tries each act again while it says that another try may help; any other error ends the test."""

    tries: list[str] = field(default_factory=list)

    def do(self, act: Callable[[], Result]) -> Result:
        for _ in range(TRIES):
            try:
                return act()
            except RetryableError as error:
                self.tries.append(type(error).__name__)
        raise AssertionError(f"{TRIES} tries were not enough: {self.tries[-TRIES:]}")


def operations(seed: int) -> list[tuple[object, ...]]:
    """What people and machines do, the same for the same seed; it begins with films and ends with a run."""
    dice = random.Random(seed)

    def patients() -> list[int]:
        return dice.sample(range(24), dice.randint(1, 6))

    def send() -> tuple[object, ...]:
        return ("send", patients(), dice.randrange(4), dice.choice(_SPLITS), dice.randrange(3))

    def run() -> tuple[object, ...]:
        return ("run", dice.choice(("good", "better", "weak")))

    kinds: list[Callable[[], tuple[object, ...]]] = [
        send,
        run,
        lambda: ("resend", dice.randrange(9), patients(), dice.randrange(4), dice.randrange(3)),
        lambda: ("withdraw", dice.randrange(2, 9)),
        lambda: ("assemble", 2),
        lambda: ("twin", dice.choice(("good", "better"))),
    ]
    return [send(), *(dice.choice(kinds)() for _ in range(dice.randint(3, 7))), run()]


def outcome(history: History) -> dict[str, object]:
    """What a history came to, without its times."""
    store, champion = history.store, read_champion(history.store)
    register = read_register(store)
    return {
        "snapshots": [snapshot_id for snapshot_id, _ in history.made],
        "homes": dict(register.homes) if register else {},
        "decisions": [read_decision(store, f"run-{n}").decision for n in range(1, history.runs + 1)],
        "champion": champion and (champion.version, champion.run_id),
        "ledger": [(e.kind, e.run_id, e.version) for e in ledger.read_ledger(store)],
    }


@pytest.fixture
def permissive(environment: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(proven_reads, "_PAUSE", 0.0)
    for name, value in PERMISSIVE.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_of_faults_ends_as_one_without(
    proxy: Proxy, permissive: Settings, tiny_models: dict[str, bytes], seed: int
) -> None:
    print(f"seed {seed}")
    chosen = in_a_new_bucket(permissive)
    store = ObjectStore.connect(chosen)
    store.ensure_bucket()
    clean = History(chosen, store, store, Trainer(store, tiny_models))
    try:
        clean.play(operations(seed))
        clean.check()
        expected = outcome(clean)
    finally:
        discard(store)
    store.ensure_bucket()
    behind = chosen.model_copy(update={"s3_endpoint": proxy.url})
    history = Faulty(behind, store, ObjectStore.connect(behind), Trainer(store, tiny_models))
    dice = random.Random(seed)

    def rule(request: Request) -> Fault | None:
        if dice.random() >= SHARE:
            return None
        return dice.choice(READS if request.method in ("GET", "HEAD") else WRITES)

    proxy.rule = rule
    try:
        history.play(operations(seed))
        proxy.rule = None
        history.check()
        assert proxy.faults
        assert outcome(history) == expected
    finally:
        proxy.rule = None
        print(f"{proxy.faults.total()} faults in {len(proxy.seen)} requests")
        discard(store)
