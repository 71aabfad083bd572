"""A quiet day of the watch, by the DAG's own tasks in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pneumo_tasks.monitoring.evidence import read_evidence
from pneumo_tasks.monitoring.matrix import read_matrix
from pneumo_tasks.monitoring.outcomes import Outcome, import_outcomes
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import read_champion
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.settings import Settings
from tests.evaluation.fixtures import story, tiny_models  # noqa: F401
from tests.evaluation.story import Story
from tests.promotion.judging import judge

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_quiet_day_ends_by_itself_leaves_its_evidence_and_is_no_run_of_the_list(
    settings: Settings, story: Story, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    promote_model(settings, story.store, judge(settings, story, "first"))
    champion = read_champion(story.store)
    assert champion is not None
    row = Outcome(version=champion.version, study="1", probability=0.9, diagnosis="PNEUMONIA")
    import_outcomes(story.store, [row], "ada")
    command = [sys.executable, "-m", "tests.dags.dag_run", str(tmp_path / "airflow"), "{}", "champion_watch"]
    done = subprocess.run(
        command, cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    evidence = read_evidence(story.store)
    assert evidence is not None
    assert (evidence.version, evidence.due, evidence.imports) == (champion.version, False, 1)
    assert read_matrix(story.store) is not None
    assert [run.run_id for run in list_runs(story.store)] == ["first"]
