import subprocess
import sys
from pathlib import Path

from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.promotion.registry.champion import champion_ref, champion_summary
from pneumo_tasks.settings import Settings
from tests.evaluation.story import SNAPSHOT, Story

PROJECT = Path(__file__).resolve().parents[2]


def test_deciding_reporting_and_promoting_need_no_tensorflow(settings: Settings, story: Story) -> None:
    story.run("first", "good")
    few = settings.model_copy(update={"resamples": 100})
    evaluate_candidate(few, story.store, "first", SNAPSHOT, champion_ref(story.store))
    done = subprocess.run(
        [sys.executable, "-m", "tests.promotion.default_worker", "first", SNAPSHOT],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    champion = champion_summary(story.store)
    assert champion is not None
    assert done.stdout.splitlines()[-1] == champion["version"]
