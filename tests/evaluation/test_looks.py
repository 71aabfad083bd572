import pandas as pd

from pneumo_tasks import journal
from pneumo_tasks.evaluation.looks import count_looks, measure_exposure, record_films, record_look
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def look(store: ObjectStore, test_set_id: str, run_id: str, films: list[str]) -> None:
    record_look(store, test_set_id, run_id, "candidate", run_id * 3)
    record_look(store, test_set_id, run_id, "champion", "c" * 64)
    record_films(store, test_set_id, films)


def test_a_test_patient_a_week_does_not_make_the_other_films_unseen(store: ObjectStore) -> None:
    for week in range(1, 4):
        look(store, f"set-{week}", f"week-{week}", [f"film-{number}" for number in range(week)])
    assert [count_looks(store, f"set-{week}") for week in range(1, 4)] == [1, 1, 1]
    exposure = measure_exposure(store, "set-3")
    assert (exposure.films, exposure.median, exposure.most) == (3, 2, 3)


def test_a_film_that_left_the_test_set_wears_nothing_out(store: ObjectStore) -> None:
    look(store, "old", "a", ["gone"])
    look(store, "new", "b", ["here"])
    assert measure_exposure(store, "new").most == 1


def test_a_retry_is_the_same_look_and_long_ids_are_not_confused(store: ObjectStore) -> None:
    for run_id in ("x" * 160 + "1", "x" * 160 + "2", "x" * 160 + "2", "retry:1", "retry+1"):
        record_look(store, "set", run_id, "candidate", "0" * 64)
    assert count_looks(store, "set") == 4


def test_looks_of_an_older_release_are_counted_from_the_scores_of_their_run(store: ObjectStore) -> None:
    at = journal.now()
    for run_id, test_set_id in (("known", "old-1"), ("lost", "old-2")):
        old = {"test_set_id": test_set_id, "run_id": run_id, "role": "candidate", "sha256": "0", "at": at}
        store.put_json(f"test-sets/{test_set_id}/looks/{run_id}.candidate.0.json", old)
    scores = pd.DataFrame({"sha256": ["a", "b"]}).to_parquet(index=False)
    store.put(layout.run("known", "test_scores.parquet"), scores)
    look(store, "new", "new", ["b", "c"])
    exposure = measure_exposure(store, "new")
    assert (exposure.median, exposure.most) == (2.5, 3)  # what nobody knows counts for every film
    assert store.read(layout.test_set_films("old-1")) == b"a\nb\n"
