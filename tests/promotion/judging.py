from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.promotion.decision import decide_promotion
from pneumo_tasks.promotion.registry.champion import champion_ref
from pneumo_tasks.settings import Settings
from tests.evaluation.story import SNAPSHOT, Story


def judge(settings: Settings, story: Story, run_id: str, model: str = "good") -> str:
    """Train (as it were), evaluate and decide; returns the run id."""
    story.run(run_id, model)
    evaluate_candidate(settings, story.store, run_id, SNAPSHOT, champion_ref(story.store))
    decide_promotion(settings, story.store, run_id, SNAPSHOT)
    return run_id
