import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks import journal
from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.promotion.runs.runs import show_run, stored_as
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore

# What Airflow's own pattern lets through: [scheduler] allowed_run_id_pattern.
ALLOWED = st.text("AZaz09_.~:+-", min_size=1, max_size=60)


@given(ALLOWED, ALLOWED)
def test_every_run_id_of_airflow_has_a_folder_of_its_own_and_is_found_again(one: str, other: str) -> None:
    assert layout.run_of(layout.run_key(one)) == one
    assert (layout.run_key(one) == layout.run_key(other)) == (one == other)


@given(st.text(min_size=1, max_size=20))
def test_no_run_id_leaves_its_folder(run_id: str) -> None:
    key = layout.run_key(run_id)
    assert "/" not in key
    assert ".." not in key
    assert layout.run_of(key) == run_id


def test_runs_whose_ids_differ_in_a_sign_share_nothing(store: ObjectStore) -> None:
    for run_id in ("retry:1", "retry+1", "_x", "~x", "__airflow_temporary_run_2026-11-26T10:00:00+00:00__"):
        journal.record_start(store, run_id, {"by": run_id})
        assert show_run(store, run_id).started_by == run_id
    assert len(list_runs(store)) == 5


def test_a_run_with_the_name_of_a_comparison_is_refused(store: ObjectStore) -> None:
    with pytest.raises(BadConfiguration, match="reserved"):
        journal.record_start(store, "compare.20261126.vgg16", {})
    with pytest.raises(BadConfiguration, match="not a run id"):
        journal.record_start(store, "x" * 201, {})
    assert list_runs(store) == []


def test_a_run_of_an_older_release_is_found_under_its_id(store: ObjectStore) -> None:
    run_id, former = "manual__2026-11-22T03:00:00+00:00", "manual__2026-11-22T03-00-00-00-00"
    store.put_json(f"runs/{former}/run.json", {"run_id": run_id, "started": journal.now()})
    store.put(f"runs/{former}/report.html", b"<p>")
    assert stored_as(store, run_id) == former
    assert show_run(store, stored_as(store, run_id)).run_id == run_id
    assert [run.run_id for run in list_runs(store)] == [run_id]
    assert stored_as(store, "manual__2026-11-22T03:00:00-00:00") == "manual__2026-11-22T03:00:00-00:00"


def test_a_run_never_goes_on_in_the_folder_of_another(store: ObjectStore) -> None:
    store.put_json("runs/retry-1/run.json", {"run_id": "retry:1", "started": journal.now()})
    with pytest.raises(BadConfiguration, match="belongs to run retry:1"):
        journal.record_start(store, "retry-1", {})
