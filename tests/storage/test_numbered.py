"""A row of numbered documents is whole, or it is no row; what lies beside it is not looked at."""

from functools import partial

import pytest

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.intake.records.catalogue import read_catalogue
from pneumo_tasks.intake.records.register import read_register
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.numbered import Numbered, last_document, last_number, read_numbered, sum_up
from pneumo_tasks.storage.object_store import ObjectStore

ROW = Numbered("a row", lambda number: f"row/{number:08d}.json", partial(layout.sum_of, "row/"))
STRANGERS = ("row/README.txt", "row/00000009.json.bak", "row/9.json", "row/00000012", "row/x/00000012.json")


def keys(store: ObjectStore) -> set[str]:
    return {listed.key for listed in store.list_objects("row/")}


def write(store: ObjectStore, last: int) -> None:
    for number in range(1, last + 1):
        store.put_json(ROW.one(number), number)
        sum_up(store, ROW, number)


def test_a_long_row_is_read_whole_and_in_order(store: ObjectStore) -> None:
    write(store, 23)
    assert read_numbered(store, ROW, keys(store)) == list(range(1, 24))


def test_a_missing_number_is_an_error_and_no_shorter_row(store: ObjectStore) -> None:
    write(store, 5)
    store.delete(ROW.one(3))
    with pytest.raises(CorruptArtefact, match=r"number 3 of 5.*backup"):
        read_numbered(store, ROW, keys(store))


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_nobody_ordered_is_not_counted(store: ObjectStore, stranger: str) -> None:
    write(store, 2)
    store.put(stranger, b"a note")
    assert read_numbered(store, ROW, keys(store)) == [1, 2]


def test_a_catalogue_with_a_hole_is_not_a_short_catalogue(store: ObjectStore) -> None:
    store.put_json(layout.catalogue_entry(2), {})
    with pytest.raises(CorruptArtefact, match="number 1 of 2"):
        read_catalogue(store)


def test_a_note_in_the_folder_of_the_register_stops_nobody(store: ObjectStore) -> None:
    founding = {"salt": "s", "rule": "r", "site_in_key": False, "founded_at": "2026-01-01T00:00:00Z"}
    store.put_json(layout.REGISTER, founding)
    store.put(f"{layout.REGISTERED}README.txt", b"a note")
    register = read_register(store)
    assert register is not None
    assert register.segments == 0


def test_what_comes_next_is_counted_from_the_last_number_and_not_from_what_lies_there(
    store: ObjectStore,
) -> None:
    write(store, 2)
    for stranger in STRANGERS:
        store.put(stranger, b"a note")
    assert last_number(store, "row/", ROW.one) == 2
    assert last_document(store, "row/", ROW.one) == (2, 2)
    assert last_number(store, "other/", ROW.one) == 0
