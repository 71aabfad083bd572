"""A document that somebody damaged ends in our words and names its place, for each who reads it."""

import pytest

from benchmarks.fuzz_documents import DOCUMENTS, Shelf
from pneumo_tasks.errors import CorruptArtefact, PneumoError
from pneumo_tasks.monitoring.outcomes import read_imports
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

DAMAGE = {
    "no JSON": b"x",
    "another kind": b"[]",
    "a text": b'"x"',
    "nothing in it": b"{}",
    "no end to its depth": b"[" * 100_000,
    "not UTF-8": b'{"a": "\xff"}',
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_reader_of_a_damaged_document_answers_or_ends_in_our_words(damage: str) -> None:
    for key, (_, read) in DOCUMENTS().items():
        try:
            read(Shelf({key: DAMAGE[damage]}))
        except PneumoError:
            continue


def test_a_pointer_that_is_none_is_named_with_what_to_do(store: ObjectStore) -> None:
    store.put(layout.CHAMPION, b"x")
    with pytest.raises(CorruptArtefact, match=r"champion\.json .*Restore it"):
        read_pointer(store)


def test_an_outcome_that_cannot_be_written_down_is_named(store: ObjectStore) -> None:
    """Half of a pair of letters is JSON, and no UTF-8."""
    row = b'{"version": "v", "study": "\\ud800", "probability": 0.5}'
    said = b'{"seq": 1, "arrived_at": "2026-11-27", "by": "a", "sha256": "0", "rows": [' + row + b"]}"
    store.put(layout.outcomes(1), said)
    with pytest.raises(CorruptArtefact, match=r"outcomes/00000001\.json"):
        read_imports(store)


def test_a_run_whose_failure_lacks_its_time_is_named(store: ObjectStore) -> None:
    for name in ("run.json", "failure.json"):
        store.put_json(layout.run("r", name), {"run_id": "r"})
    with pytest.raises(CorruptArtefact, match="runs/r/"):
        show_run(store, "r")
