"""Laws of whole histories: what was promised holds after any order of what people and machines do.

``PNEUMO_TEST_HISTORIES`` says how many histories are tried.
"""

import os

import pytest
from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import ObjectStore
from tests.promotion.history import PERMISSIVE, History, Trainer, discard, in_a_new_bucket

HISTORIES = int(os.environ.get("PNEUMO_TEST_HISTORIES", "4"))
_patients = st.lists(st.integers(0, 23), min_size=1, max_size=6, unique=True)
_model = st.sampled_from(["good", "better", "weak"])
OPERATIONS = st.one_of(
    st.tuples(
        st.just("send"), _patients, st.integers(0, 3), st.sampled_from(["train", "test", "auto"]),
        st.integers(0, 2),
    ),
    st.tuples(st.just("resend"), st.integers(0, 9), _patients, st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("withdraw"), st.integers(0, 9)),
    st.tuples(st.just("settings"), st.floats(0, 1), st.integers(2, 5), st.text("ab", max_size=2)),
    st.tuples(st.just("assemble"), st.integers(1, 3)),
    st.tuples(st.just("run"), _model),
    st.tuples(st.just("twin"), _model),
)  # fmt: skip


@pytest.fixture(scope="module")
def weights(tiny_models: dict[str, bytes]) -> dict[str, bytes]:
    return tiny_models


@pytest.fixture
def permissive(environment: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in PERMISSIVE.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


@pytest.mark.slow
@pytest.mark.timeout(7200)
@hypothesis_settings(
    max_examples=HISTORIES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(OPERATIONS, min_size=4, max_size=12))
def test_no_history_breaks_a_promise(
    permissive: Settings, weights: dict[str, bytes], operations: list[tuple]
) -> None:
    chosen = in_a_new_bucket(permissive)
    store = ObjectStore.connect(chosen)
    store.ensure_bucket()
    history = History(chosen, store, store, Trainer(store, weights))
    try:
        history.play(operations)
        history.check()
        event(f"{sum(e.kind == 'promoted' for e in ledger.read_ledger(store))} promotions")
        event(f"{len({name for name, _ in history.made})} snapshots")
    finally:
        discard(store)
