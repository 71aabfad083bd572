import pytest
from typer.testing import CliRunner

from pneumo_tasks import journal
from pneumo_tasks.cli import app
from pneumo_tasks.storage.object_store import ObjectStore


def test_a_report_of_a_run_that_never_was_is_refused_and_makes_none(store: ObjectStore) -> None:
    journal.record_start(store, "weekly", {})
    before = list(store.list_objects(""))
    for words in (("show", "wekly", "--renew"), ("show", "wekly"), ("compare", "wekly", "weekly")):
        assert CliRunner().invoke(app, ["report", *words]).exit_code != 0
    assert list(store.list_objects("")) == before


@pytest.mark.parametrize("run_id", ["_x", "retry:1", "manual__2026-11-22T03:00:00+00:00"])
def test_a_run_is_shown_whatever_its_id(store: ObjectStore, run_id: str) -> None:
    journal.record_start(store, run_id, {})
    result = CliRunner().invoke(app, ["runs", "show", "--json", "--", run_id])
    assert result.exit_code == 0, result.output
    assert run_id in result.output
