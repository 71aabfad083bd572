"""A run of the story, trained, evaluated and decided; the first of a bucket is computed once a process."""

from pneumo_tasks.evaluation.evaluation import evaluate_candidate
from pneumo_tasks.promotion.deciding.decision import decide_promotion
from pneumo_tasks.promotion.moving.promotion import promote_model
from pneumo_tasks.promotion.registry.champion import champion_ref
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import sha256
from tests.evaluation.story import SNAPSHOT, Story
from tests.kept_buckets import once


def judge(settings: Settings, story: Story, run_id: str, model: str = "good") -> str:
    """Train (as it were), evaluate and decide; returns the run id."""

    def computed() -> str:
        story.run(run_id, model)
        evaluate_candidate(settings, story.store, run_id, SNAPSHOT, champion_ref(story.store))
        decide_promotion(settings, story.store, run_id, SNAPSHOT)
        return run_id

    if story.is_untouched:
        return once(f"judge {run_id} {sha256(story.models[model])}", settings, story.store, computed)
    return computed()


def two_champions(settings: Settings, story: Story) -> list[str]:
    """The versions of two champions, one after the other."""

    def promoted() -> list[str]:
        return [
            promote_model(settings, story.store, judge(settings, story, run_id, model)).version
            for run_id, model in (("first", "good"), ("second", "better"))
        ]

    return once("two champions", settings, story.store, promoted)
