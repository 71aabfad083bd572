"""Evidence with a key: what is written is sealed, and who reads refuses what is not as it was sealed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, ObjectMissing
from pneumo_tasks.sealing.guard import Guard
from pneumo_tasks.sealing.inventory import find_unsealed, seal_evidence, unguarded
from pneumo_tasks.sealing.tally import end_sealing, read_tally
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.promotion.keys import key_pair

ONE, TWO = (layout.withdrawal(name) for name in ("one", "two"))


@pytest.fixture
def keyed(settings: Settings, store: ObjectStore) -> Settings:
    private, public = key_pair()
    return settings.model_copy(update={"signing_key": private, "trusted_key": public})


def opened(settings: Settings) -> ObjectStore:
    """The bucket as a process that has just begun sees it."""
    return ObjectStore.connect(settings)


def auditor(keyed: Settings) -> ObjectStore:
    return opened(keyed.model_copy(update={"signing_key": None}))


def names(store: ObjectStore) -> list[str]:
    return [listed.key for listed in store.list_objects(layout.WITHDRAWALS)]


def copied(store: ObjectStore, source: str, target: str) -> None:
    """With its metadata, and so with its seal."""
    store.client.copy_object(
        Bucket=store.bucket, Key=target, CopySource={"Bucket": store.bucket, "Key": source}
    )


def test_evidence_is_read_as_it_was_written(keyed: Settings) -> None:
    for key in (ONE, TWO):
        opened(keyed).put_once(key, key.encode())
    for reader in (opened(keyed), auditor(keyed)):
        assert names(reader) == [ONE, TWO]
        assert reader.read(TWO) == TWO.encode()
    tally = read_tally(unguarded(opened(keyed)), ())
    assert {key: tally.of(key) for key in (ONE, TWO)} == {key: sha256(key.encode()) for key in (ONE, TWO)}


@pytest.mark.parametrize(
    "attack",
    [
        lambda store: unguarded(store).put(ONE, b"changed"),
        lambda store: copied(store, TWO, ONE),
        lambda store: store.delete(ONE),
    ],
    ids=["changed", "swapped with its seal", "deleted"],
)
def test_evidence_that_is_not_as_it_was_sealed_is_refused(
    keyed: Settings, store: ObjectStore, attack: Callable[[ObjectStore], None]
) -> None:
    for key in (ONE, TWO):
        opened(keyed).put_once(key, key.encode())
    attack(store)
    for reader in (opened(keyed), auditor(keyed)):
        with pytest.raises(CorruptArtefact, match="withdrawals/one"):
            reader.read(ONE)
        assert reader.read(TWO) == TWO.encode()


def test_deleted_evidence_is_missed_by_a_listing_and_not_made_anew(
    keyed: Settings, store: ObjectStore
) -> None:
    opened(keyed).put_once(ONE, b"1")
    store.delete(ONE)
    with pytest.raises(CorruptArtefact, match="deleted"):
        names(opened(keyed))
    with pytest.raises(CorruptArtefact, match="deleted"):
        opened(keyed).put_once(ONE, b"other content")
    opened(keyed).put_once(ONE, b"1")  # the same again is what was there
    assert names(opened(keyed)) == [ONE]


def test_an_object_of_somebody_without_the_key_is_refused(keyed: Settings, store: ObjectStore) -> None:
    opened(keyed).put_once(ONE, b"1")
    unguarded(store).put(TWO, b"mallory")
    for reader in (opened(keyed), auditor(keyed)):
        with pytest.raises(CorruptArtefact, match="nobody with the key"):
            names(reader)
        with pytest.raises(CorruptArtefact, match="nobody with the key"):
            reader.read(TWO)
    other = keyed.model_copy(update={"signing_key": key_pair()[0], "trusted_key": None})
    with pytest.raises(CorruptArtefact, match="not signed by a trusted key"):
        opened(other).put_once(TWO, b"mallory")


def test_a_writer_that_died_before_its_object_was_counted_is_believed_and_counted_by_the_next(
    keyed: Settings, store: ObjectStore
) -> None:
    opened(keyed).put_once(ONE, b"1")
    opened(keyed).put_once(TWO, b"2")
    store.delete(layout.tally_entry(2))
    assert names(auditor(keyed)) == [ONE, TWO]
    assert names(opened(keyed)) == [ONE, TWO]
    assert read_tally(store, ()).of(TWO) == sha256(b"2")


def test_a_cut_tally_is_noticed_by_whoever_reads_what_was_sealed_after_the_cut(
    keyed: Settings, store: ObjectStore
) -> None:
    for number in range(3):
        opened(keyed).put_once(layout.withdrawal(f"w{number}"), b"x")
    for number in (2, 3):
        store.delete(layout.tally_entry(number))
    store.delete(layout.withdrawal("w1"))
    with pytest.raises(CorruptArtefact, match="cut"):
        names(auditor(keyed))


@pytest.mark.parametrize("damage", ["taken out", "rewritten"])
def test_a_tally_with_another_entry_in_it_is_refused(
    keyed: Settings, store: ObjectStore, damage: str
) -> None:
    for number in range(3):
        opened(keyed).put_once(layout.withdrawal(f"w{number}"), b"x")
    if damage == "taken out":
        store.delete(layout.tally_entry(2))
    else:
        entry = store.read_json(layout.tally_entry(2))
        store.put_json(layout.tally_entry(2), entry | {"objects": {}})
    with pytest.raises(CorruptArtefact, match="tally"):
        names(opened(keyed))


def test_a_process_that_trusts_a_key_and_has_none_writes_no_evidence(
    keyed: Settings, store: ObjectStore
) -> None:
    with pytest.raises(BadConfiguration, match="none to seal evidence with"):
        auditor(keyed).put_once(ONE, b"1")
    assert not store.exists(ONE)
    auditor(keyed).put("incoming/one/batch.json", b"what is no evidence needs no key")


def test_many_writers_at_once_are_all_counted(keyed: Settings, store: ObjectStore) -> None:
    keys = [layout.withdrawal(f"w{number}") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: opened(keyed).put_once(key, key.encode()), keys))
    tally = read_tally(store, ())
    assert {key: tally.of(key) for key in keys} == {key: sha256(key.encode()) for key in keys}
    assert store.exists(layout.sum_of(layout.TALLY_SUMS, 10, 10))


def test_what_is_rewritten_or_deleted_rightly_is_believed_and_the_former_content_is_not(
    keyed: Settings, store: ObjectStore
) -> None:
    former = opened(keyed)
    former.put(ONE, b"with a patient")
    copied(store, ONE, "elsewhere")
    opened(keyed).put(ONE, b"without")
    assert former.read(ONE) == b"without"
    copied(store, "elsewhere", ONE)
    with pytest.raises(CorruptArtefact, match="changed since it was sealed"):
        opened(keyed).read(ONE)
    opened(keyed).delete(ONE)
    assert names(opened(keyed)) == []
    copied(store, "elsewhere", ONE)
    with pytest.raises(ObjectMissing):
        opened(keyed).read(ONE)
    store.delete(ONE)
    opened(keyed).put_once(ONE, b"made again")
    assert opened(keyed).read(ONE) == b"made again"


def seal(keyed: Settings, store: ObjectStore) -> list[str]:
    found = find_unsealed(keyed, store)
    seal_evidence(keyed, store, found)
    return [one.key for one in found]


def test_what_changes_after_a_person_saw_it_is_not_what_is_sealed(
    keyed: Settings, store: ObjectStore
) -> None:
    store.put(ONE, b"seen")
    found = find_unsealed(keyed, store)
    assert [(one.key, one.sha256) for one in found] == [(ONE, sha256(b"seen"))]
    assert found[0].modified is not None
    store.put(ONE, b"forged")
    seal_evidence(keyed, store, found)
    with pytest.raises(CorruptArtefact, match="changed since it was sealed"):
        opened(keyed).read(ONE)


def test_a_bucket_of_before_there_was_a_key_works_after_its_inventory(
    keyed: Settings, store: ObjectStore
) -> None:
    store.put(ONE, b"1")
    with pytest.raises(CorruptArtefact, match="pneumo models sign"):
        names(opened(keyed))
    assert seal(keyed, store) == [ONE]
    assert seal(keyed, store) == []
    assert names(auditor(keyed)) == [ONE]
    store.put(ONE, b"2")
    with pytest.raises(CorruptArtefact, match="since it was sealed"):
        find_unsealed(keyed, store)


def test_a_process_that_lost_its_key_leaves_no_evidence_in_a_sealed_bucket(
    keyed: Settings, settings: Settings
) -> None:
    opened(keyed).put_once(ONE, b"1")
    with pytest.raises(BadConfiguration, match="PNEUMO_SIGNING_KEY"):
        opened(settings).put_once(TWO, b"2")
    opened(settings).put("features/a", b"no evidence")
    assert names(opened(keyed)) == [ONE]


def test_where_sealing_was_ended_evidence_needs_no_key_until_somebody_seals_again(
    keyed: Settings, settings: Settings
) -> None:
    opened(keyed).put_once(ONE, b"1")
    end_sealing(opened(settings))
    opened(settings).put_once(TWO, b"2")
    with pytest.raises(CorruptArtefact, match="nobody with the key wrote"):
        names(opened(keyed))
    assert seal(keyed, opened(keyed)) == [TWO]
    with pytest.raises(BadConfiguration, match="PNEUMO_SIGNING_KEY"):
        opened(settings).put_once(layout.withdrawal("three"), b"3")


def test_without_a_key_nothing_is_sealed(settings: Settings, store: ObjectStore) -> None:
    opened(settings).put_once(ONE, b"1")
    assert [listed.key for listed in store.list_objects("")] == [ONE]
    assert not isinstance(store.guard, Guard)


def test_reading_evidence_that_is_counted_costs_no_further_request(
    keyed: Settings, store: ObjectStore
) -> None:
    opened(keyed).put_once(ONE, b"1")
    reader = opened(keyed)
    reader.read(ONE)
    asked: list[str] = []
    reader.client.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    reader.read(ONE)
    assert asked == ["GetObject"]


def test_what_a_former_key_sealed_stays_verified_and_the_new_one_seals_what_follows(
    keyed: Settings, store: ObjectStore
) -> None:
    opened(keyed).put_once(ONE, b"1")
    private, public = key_pair()
    both = keyed.model_copy(update={"signing_key": private, "trusted_key": f"{keyed.trusted_key}{public}"})
    opened(both).put_once(TWO, b"2")
    assert names(opened(both)) == [ONE, TWO]
    assert names(auditor(both)) == [ONE, TWO]
    assert opened(both).read(ONE) == b"1"
    entry = store.read_json(layout.tally_entry(2))
    assert entry["public_key"] != store.read_json(layout.tally_entry(1))["public_key"]
    with pytest.raises(CorruptArtefact, match="not signed by a trusted key"):
        names(auditor(keyed))  # whoever was not told of the new key
    only_new = both.model_copy(update={"trusted_key": public})
    assert names(auditor(only_new)) == [ONE, TWO], "the new key's entry vouches for those before it"
    unguarded(store).put(ONE, b"forged")
    with pytest.raises(CorruptArtefact, match="changed since it was sealed"):
        opened(both).read(ONE)


def test_nobody_seals_with_a_key_that_the_others_do_not_trust_yet(
    keyed: Settings, store: ObjectStore
) -> None:
    opened(keyed).put_once(ONE, b"1")
    too_early = keyed.model_copy(update={"signing_key": key_pair()[0]})
    with pytest.raises(BadConfiguration, match="not among those that are trusted"):
        opened(too_early).put_once(TWO, b"2")
    assert names(opened(keyed)) == [ONE]
