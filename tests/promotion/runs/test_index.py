"""The list of runs: what it costs, and what it leaves out."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pneumo_tasks import journal
from pneumo_tasks.errors import ObjectMissing
from pneumo_tasks.promotion.runs.index import RunIndex, enter_missing, list_runs
from pneumo_tasks.promotion.runs.runs import show_run
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def requests_of(store: ObjectStore) -> list[str]:
    made: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: made.append(request.url))
    return made


def test_a_thousand_stage_records_are_read_with_a_few_requests(store: ObjectStore) -> None:
    journal.record_start(store, "weekly", {})

    def extract(number: int) -> None:
        with journal.stage(store, "weekly", "extract_features", f"shard-{number}"):
            pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(extract, range(1000)))
    made = requests_of(store)
    assert [found["name"] for found in list_runs(store)[0].stages] == ["extract_features"]
    assert len(made) <= 10, len(made)


def test_stages_of_older_releases_and_parts_done_again_are_added_up_once(store: ObjectStore) -> None:
    old = {"name": "validate_batch", "part": "monday", "started": "2026-11-22T03:00:00.000+00:00",
           "seconds": 2.5}  # fmt: skip
    store.put_json(layout.run("weekly", "stages/validate_batch.monday.json"), old)
    for took in (100, 300):
        store.put_json(layout.run("weekly", f"stages/train_head~~17951{took}~{took}.json"), {})
    assert journal.stages(store, "weekly") == [
        {"name": "train_head", "seconds": 0.3},
        {"name": "validate_batch", "seconds": 2.5},
    ]


def test_a_list_that_is_read_for_the_first_time_is_one_object(store: ObjectStore) -> None:
    for number in range(60):
        journal.record_failure(store, f"weekly-{number}", "train_head", "lost")
    assert enter_missing(store) == 60
    made, index = requests_of(store), RunIndex()
    assert len(index.read(store)) == 60
    assert len(made) == 5, made  # two listings of each folder, and the sum
    journal.record_begin(store, "weekly-7", journal.Attempt("train_head", number=2))
    assert {run.run_id for run in index.read(store) if run.state == "running"} == {"weekly-7"}
    store.put(layout.RUN_CATALOGUE, b"damaged")
    assert len(RunIndex().read(store)) == 60


@pytest.mark.parametrize(
    "stranger", ["runs/x/notes.txt", "runs/.ipynb_checkpoints/a", "runs/2026 W47/a", "runs/a"]
)
def test_a_folder_that_nobody_ordered_stops_no_list(store: ObjectStore, stranger: str) -> None:
    store.put(stranger, b"")
    journal.record_failure(store, "weekly", "train_head", "lost")
    assert [run.run_id for run in list_runs(store)] == ["weekly"]
    assert enter_missing(store) == 1
    with pytest.raises(ObjectMissing):
        show_run(store, "x")
