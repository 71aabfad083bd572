"""The matrix of a bucket with a champion, and what becomes of it when films are corrected or withdrawn."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo_tasks import cli, pipeline
from pneumo_tasks.dataset.seen import record_seen
from pneumo_tasks.evaluation.unseen.unseen_table import read_table
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.monitoring.matrix import Matrix, measure_matrix, read_matrix
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.held_out_scores import write_held_out_scores
from tests.evaluation.story import TEST_SET, Story
from tests.intake.films import good_files
from tests.promotion.judging import judge
from tests.promotion.weeks import Weeks, first_week, second_week


@pytest.fixture
def weeks(settings: Settings, story: Story, tmp_path: Path) -> Weeks:
    """A champion that held out the films of train-1, and has scored train-2 before anybody trained on it."""
    weeks = first_week(settings, story, tmp_path)
    images = accepted_images(weeks.store)
    learned = images[images["batch_id"] == "train-1"][["sha256", "patient", "label"]]
    write_held_out_scores(weeks.store, "first", learned.assign(fold=0, probability=0.5))
    weeks.scores(second_week(weeks))
    return weeks


def cells(found: Matrix) -> dict[str, tuple[str, int]]:
    return {cell.data: (cell.evidence, cell.films) for row in found.versions for cell in row.cells}


def test_a_cell_says_what_kind_of_evidence_it_is(weeks: Weeks, settings: Settings) -> None:
    found = measure_matrix(settings, weeks.store)
    assert cells(found) == {
        "train-1": ("held out", 40), "train-2": ("unseen", 10), TEST_SET: ("test set", 48),
    }  # fmt: skip
    assert [(column.name, column.kind) for column in found.data] == [
        ("train-1", "batch"), ("train-2", "batch"), (TEST_SET, "test set"),
    ]  # fmt: skip
    (row,) = found.versions
    assert (row.champion, row.registered, row.update) == (True, True, None)
    assert read_matrix(weeks.store) == found


def test_the_same_matrix_is_not_written_twice_and_a_withdrawal_writes_another_behind_it(
    weeks: Weeks, settings: Settings
) -> None:
    first = measure_matrix(settings, weeks.store)
    assert measure_matrix(settings, weeks.store) == first
    champion = read_champion(weeks.store)
    assert champion is not None
    table = read_table(weeks.store, champion.sha256)
    withdraw_batch(weeks.store, "train-2", "ada", "consent was withdrawn")
    second = measure_matrix(settings, weeks.store)
    assert "train-2" not in cells(second)
    assert second.withdrawn == 10
    assert Matrix.model_validate(weeks.store.read_json(layout.matrix(1))) == first
    assert read_matrix(weeks.store) == second
    pd.testing.assert_frame_equal(read_table(weeks.store, champion.sha256), table)


def test_a_candidate_that_scores_new_films_has_a_row_beside_the_versions(
    weeks: Weeks, settings: Settings, story: Story
) -> None:
    judge(settings, story, "second", "weak")
    found = measure_matrix(settings, weeks.store)
    assert [(row.run_id, row.registered) for row in found.versions] == [("first", True), ("second", False)]
    assert found.versions[1].update is not None


def test_a_version_that_was_not_asked_in_time_is_asked_once_and_its_cell_is_marked(
    weeks: Weeks, settings: Settings
) -> None:
    weeks.sends("train-3", good_files(6, start=300))
    record_seen(weeks.store, weeks.assembles())  # a training met them, and nobody had asked the champion
    (version,) = [row.version for row in measure_matrix(settings, weeks.store).versions]
    assert pipeline.score_later(weeks.run) == {version: 46}  # the story's champion learned from other films
    found = measure_matrix(settings, weeks.store)
    assert cells(found)["train-3"] == ("later", 6)
    assert cells(found)["train-2"] == ("unseen", 10)
    assert pipeline.score_later(weeks.run) == {version: 0}
    with_test = {cell.data for row in found.versions for cell in row.cells if cell.evidence == "later"}
    assert "test-1" not in with_test  # never a test patient


def test_the_command_prints_the_matrix_as_json(weeks: Weeks) -> None:
    done = CliRunner().invoke(cli.app, ["models", "matrix", "--json"])
    assert done.exit_code == 0, done.output
    assert {column["name"] for column in json.loads(done.stdout)["data"]} == {"train-1", "train-2", TEST_SET}
    assert CliRunner().invoke(cli.app, ["models", "matrix"]).exit_code == 0


def test_an_empty_bucket_has_an_empty_matrix(settings: Settings, store: ObjectStore) -> None:
    assert read_matrix(store) is None
    assert measure_matrix(settings, store).versions == []
