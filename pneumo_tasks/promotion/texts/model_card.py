"""The model card: what a person has to know before using a version; unknown things say so."""

from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.promotion.texts.rendering import render
from pneumo_tasks.training.export.candidate import Candidate


def render_model_card(candidate: Candidate, evaluation: Evaluation) -> str:
    """Markdown; the same bytes for the same candidate and evaluation."""
    return render(
        "model_card.md",
        candidate=candidate.model_dump(mode="json"),
        evaluation=evaluation.model_dump(mode="json"),
    )
