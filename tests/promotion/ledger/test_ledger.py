from concurrent.futures import ThreadPoolExecutor

import pytest

from pneumo_tasks.errors import CorruptArtefact
from pneumo_tasks.promotion.ledger.ledger import NOTHING, NewEntry, append, digest, effective, read_ledger
from pneumo_tasks.promotion.verifying.verification import verify
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def promoted(attempt: str, replaces: int, version: str = "v1") -> NewEntry:
    return NewEntry(
        kind="promoted", version=version, replaces=replaces, attempt=attempt, by="the gate", reason="passed"
    )


def rejected(attempt: str) -> NewEntry:
    return NewEntry(kind="rejected", version="v0", attempt=attempt, by="the gate", reason="recall")


def test_every_entry_holds_the_digest_of_the_one_before(store: ObjectStore) -> None:
    first, second = append(store, rejected("a")), append(store, promoted("b", 0))
    assert (first.seq, first.previous_sha256) == (1, NOTHING)
    assert (second.seq, second.previous_sha256) == (2, digest(first))
    assert read_ledger(store) == [first, second]


def test_the_same_attempt_is_entered_once(store: ObjectStore) -> None:
    first = append(store, promoted("a", 0))
    append(store, rejected("b"))
    assert append(store, promoted("a", 0)) == first
    assert len(read_ledger(store)) == 2


def test_many_writers_make_one_unbroken_chain(store: ObjectStore) -> None:
    with ThreadPoolExecutor(12) as pool:
        entries = list(pool.map(lambda n: append(store, rejected(f"run-{n}")), range(24)))
    assert sorted(entry.seq for entry in entries) == list(range(1, 25))
    assert {entry.attempt for entry in read_ledger(store)} == {f"run-{n}" for n in range(24)}


def test_a_changed_entry_breaks_the_chain(store: ObjectStore) -> None:
    first = append(store, rejected("a"))
    append(store, rejected("b"))
    store.put_json(layout.ledger_entry(1), first.model_copy(update={"reason": "another"}).model_dump())
    with pytest.raises(CorruptArtefact, match="chain is broken"):
        read_ledger(store)


def test_a_missing_entry_breaks_the_chain(store: ObjectStore) -> None:
    for name in "abc":
        append(store, rejected(name))
    store.client.delete_object(Bucket=store.bucket, Key=layout.ledger_entry(2))
    with pytest.raises(CorruptArtefact, match="chain is broken"):
        read_ledger(store)


def test_an_attempt_that_lost_the_race_was_never_live(store: ObjectStore) -> None:
    winner = append(store, promoted("a", 0, "v1"))
    append(store, promoted("b", 0, "v2"))
    after = append(store, promoted("c", winner.seq, "v3"))
    live = effective(read_ledger(store), after.seq)
    assert [entry.version for entry in live] == ["v1", "v3"]


def test_a_pointer_to_an_entry_that_moved_nothing_is_corrupt(store: ObjectStore) -> None:
    append(store, rejected("a"))
    with pytest.raises(CorruptArtefact, match="no entry"):
        effective(read_ledger(store), 1)
    with pytest.raises(CorruptArtefact, match="no entry"):
        effective(read_ledger(store), 9)


def requests_of(store: ObjectStore) -> list[str]:
    made: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: made.append(request.url))
    return made


@pytest.mark.parametrize(
    "stranger", ["ledger/", "ledger/README.txt", "ledger/1.json", "ledger/00000001.json.bak"]
)
def test_what_is_no_entry_is_left_alone_and_named(
    store: ObjectStore, settings: Settings, stranger: str
) -> None:
    store.put(stranger, b"")
    first = append(store, rejected("a"))
    assert read_ledger(store) == [first]
    assert append(store, rejected("b")).seq == 2
    store.put("models/odd one/x", b"")
    notes = [found.subject for found in verify(settings, store) if found.verdict == "note"]
    marker = stranger.endswith("/")  # of a folder: the store's own, and no object
    assert notes == ["models/odd one"] if marker else [stranger, "models/odd one"]


def test_a_long_ledger_is_read_from_its_copy_and_its_last_entry(
    settings: Settings, store: ObjectStore
) -> None:
    entries = [append(store, rejected(f"run-{number}")) for number in range(40)]
    other = ObjectStore.connect(settings)  # another process, that has read nothing yet
    made = requests_of(other)
    assert read_ledger(other) == entries
    assert len(made) <= 14, made  # the listing, the copy, and what was written after it
    made.clear()
    assert read_ledger(other) == entries
    assert len(made) == 3, made  # two listings that agree, and the last entry


def test_a_changed_entry_is_seen_behind_its_copy(settings: Settings, store: ObjectStore) -> None:
    entries = [append(store, rejected(f"run-{number}")) for number in range(40)]
    forged = entries[4].model_copy(update={"reason": "another"}).model_dump()
    store.put_json(layout.ledger_entry(5), forged)
    for reader in (store, ObjectStore.connect(settings)):
        with pytest.raises(CorruptArtefact, match="chain is broken"):
            read_ledger(reader)


def test_a_forged_copy_is_not_believed(settings: Settings, store: ObjectStore) -> None:
    entries = [append(store, rejected(f"run-{number}")) for number in range(40)]
    copied = store.read(layout.LEDGER_COPY)
    for damaged in (copied.replace(b"recall", b"RECALL"), b"[", b"[[1]]", b"{}"):
        store.put(layout.LEDGER_COPY, damaged)
        assert read_ledger(ObjectStore.connect(settings)) == entries
