"""What arrives damaged is read again, and never handed on as the object."""

import zipfile
from pathlib import Path

import pytest

from pneumo_tasks.errors import BadConfiguration, CorruptArtefact, ObjectMissing, StorageUnavailable
from pneumo_tasks.intake.inspecting.collection import collect_facts
from pneumo_tasks.intake.inspecting.inspectors import Assignment
from pneumo_tasks.intake.sent.batches import read_batch, upload_batch
from pneumo_tasks.intake.sent.contents import contents_in_bucket
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import proven_reads
from pneumo_tasks.storage.object_reader import ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from tests.faults import proxy as faults
from tests.faults.proxy import Fault, Proxy, always, flip, once, reads_of
from tests.intake.films import good_files

FILM = bytes(range(256)) * 40
DAMAGE = (
    *(faults.flipped, faults.shortened, faults.login_page, faults.error_in_200, faults.nothing_in_200),
    *(faults.head_only, faults.half_then_closed, faults.half_then_reset, faults.without_etag),
    faults.no_time_in_the_header,
    *(faults.reset_before, faults.without_metadata_and_flipped, faults.refused(500, "InternalError")),
)
damaged = pytest.mark.parametrize("fault", DAMAGE, ids=lambda fault: fault.__name__)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proven_reads, "_PAUSE", 0.0)


@damaged
def test_one_damaged_answer_is_read_again(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, fault: Fault
) -> None:
    store.put("film", FILM)
    proxy.rule = once(fault, reads_of("film"))
    assert store_behind.read("film") == FILM
    assert proxy.faults.total() == 1


@damaged
def test_the_fast_reader_hands_no_damaged_answer_on(
    proxy: Proxy, store: ObjectStore, settings_behind: Settings, fault: Fault
) -> None:
    store.put("film", FILM)
    reader = ObjectReader.connect(settings_behind)
    assert reader.fast is not None
    proxy.rule = once(fault, reads_of("film"))
    assert reader.read("film") == (FILM, sha256(FILM))
    proxy.rule = once(fault, reads_of("film"))
    assert reader.read_verified("film", sha256(FILM)).body == FILM


@damaged
def test_one_damaged_range_that_shows_is_read_again(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, fault: Fault
) -> None:
    if "flipped" in fault.__name__:
        pytest.skip("a range has no digest: its reader knows what the bytes must be")
    store.put("tar", FILM)
    proxy.rule = once(fault, reads_of("tar"))
    assert store_behind.read_range("tar", 100, 500) == FILM[100:600]


@damaged
def test_one_damaged_download_is_fetched_again(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, tmp_path: Path, fault: Fault
) -> None:
    store.put("weights", FILM)
    proxy.rule = once(fault, reads_of("weights"))
    store_behind.download("weights", tmp_path / "weights", sha256(FILM))
    assert (tmp_path / "weights").read_bytes() == FILM
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_an_object_that_is_always_cut_is_the_way_and_no_verdict(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    store.put("film", FILM)
    proxy.rule = always(faults.half_then_closed, reads_of("film"))
    with pytest.raises(StorageUnavailable, match="not what was stored"):
        store_behind.read("film")
    assert proxy.faults.total() == proven_reads.READS


def test_bytes_that_are_wrong_in_another_way_each_time_are_no_verdict(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    store.put("film", FILM)
    number = iter(range(100))

    def other(exchange: faults.Exchange) -> None:
        answer = exchange.ask()
        exchange.send(faults.replace(answer, body=b"%d" % next(number) + answer.body[2:]))

    proxy.rule = always(other, reads_of("film"))
    with pytest.raises(StorageUnavailable, match="not what was stored"):
        store_behind.read_verified("film", sha256(FILM))


def test_the_same_wrong_bytes_again_and_again_are_a_corrupt_object(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    store.client.put_object(
        Bucket=store.bucket, Key="film", Body=flip(FILM), Metadata={"sha256": sha256(FILM)}
    )
    with pytest.raises(CorruptArtefact, match="the stored bytes changed"):
        store_behind.read("film")
    assert len(proxy.seen) == proven_reads.AGREEING


def test_an_object_of_another_tool_is_proven_by_its_etag(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, settings_behind: Settings
) -> None:
    store.client.put_object(Bucket=store.bucket, Key="foreign", Body=FILM)
    proxy.rule = once(faults.without_metadata_and_flipped, reads_of("foreign"))
    assert store_behind.read("foreign") == FILM
    proxy.rule = once(faults.without_metadata_and_flipped, reads_of("foreign"))
    assert ObjectReader.connect(settings_behind).read("foreign").body == FILM


def test_another_object_than_the_expected_one_is_told_at_once(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore, settings_behind: Settings
) -> None:
    store.put("film", FILM)
    with pytest.raises(CorruptArtefact, match="digest differs"):
        store_behind.read_verified("film", sha256(b"another"))
    assert len(proxy.seen) == 1, "its writer recorded these bytes: they are proven"
    with pytest.raises(CorruptArtefact, match="digest differs"):
        ObjectReader.connect(settings_behind).read_verified("film", sha256(b"another"))


def test_a_range_behind_the_end_is_empty(store: ObjectStore) -> None:
    store.put("tar", FILM)
    assert store.read_range("tar", len(FILM) - 3, 10) == FILM[-3:]
    assert store.read_range("tar", len(FILM) + 5, 10) == b""


@pytest.mark.parametrize("fault", [faults.half_then_reset, faults.half_then_closed, faults.head_only])
def test_absence_that_is_cut_on_its_way_is_still_absence(
    proxy: Proxy, store_behind: ObjectStore, fault: Fault
) -> None:
    proxy.rule = once(fault, reads_of("withdrawals/b.json"))
    with pytest.raises(ObjectMissing):
        store_behind.read_json("withdrawals/b.json")


@pytest.mark.parametrize("fault", [faults.login_page, faults.nothing_in_200, faults.without_etag])
def test_a_login_page_is_no_object_that_exists(proxy: Proxy, store_behind: ObjectStore, fault: Fault) -> None:
    proxy.rule = once(fault, lambda request: request.method == "HEAD")
    assert not store_behind.exists("absent")
    proxy.rule = always(faults.login_page)
    with pytest.raises(StorageUnavailable, match="not the object store"):
        store_behind.exists("absent")


def test_a_404_without_a_body_alone_proves_no_absence(
    proxy: Proxy, store: ObjectStore, store_behind: ObjectStore
) -> None:
    store.put("film", FILM)
    proxy.rule = once(faults.refused(404, "Gone"), lambda request: request.method == "HEAD")
    assert store_behind.exists("film")
    proxy.rule = always(faults.refused(404, "InvalidAccessKeyId"))
    with pytest.raises(BadConfiguration, match="credentials"):
        store_behind.exists("absent")


def test_a_store_that_stalls_while_films_are_released_is_no_fault_of_the_films(
    proxy: Proxy, settings_behind: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    """The clock of a decoder is shorter than the store's silence, and no film is blamed for it."""
    with zipfile.ZipFile(tmp_path / "w1.zip", "w") as archive:
        for name, body in good_files(3).items():
            archive.writestr(name, body)
    upload_batch(settings_behind, store, tmp_path / "w1.zip", "w1", "train")
    batch, digest = read_batch(store, "w1")
    proxy.rule = once(faults.delayed(4.0), lambda request: request.method == "PUT", times=2)
    assignment = Assignment(settings_behind, "w1", digest, patience=2.0)
    contents = contents_in_bucket(store, batch)
    facts = collect_facts(assignment, ObjectStore.connect(settings_behind), contents).facts
    assert proxy.faults
    assert facts["decode_error"].isna().all()
