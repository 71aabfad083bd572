"""Reviews: what a person answered to an alarm. An answer is written down; nothing is done because of it."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pneumo_tasks import journal
from pneumo_tasks.errors import ConditionFailed, PromotionRefused
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

Answer = Literal["keep", "roll back", "retrain"]
ANSWERS: tuple[Answer, Answer, Answer] = ("keep", "roll back", "retrain")


class Answered(BaseModel):
    """Who answered what, and why."""

    model_config = ConfigDict(frozen=True)

    by: str
    answer: Answer
    reason: str


class Review(Answered):
    """``imports``: the last import of outcomes that was answered for; the watch begins behind it."""

    seq: int
    version: str
    at: str
    imports: int
    evidence: int


_REVIEWS = TypeAdapter(list[Review])


def read_reviews(store: ObjectStore, version: str) -> list[Review]:
    """Every review of a version, the oldest first."""
    keys = sorted(listed.key for listed in store.list_objects(layout.watch_reviews(version)))
    return _REVIEWS.validate_python(read_many(store.read_json, keys))


def reviewed_imports(reviews: Sequence[Review]) -> int:
    """The last import that somebody answered for; 0 before the first review."""
    return max((review.imports for review in reviews), default=0)


def record_review(store: ObjectStore, version: str, said: Answered, imports: int, evidence: int) -> Review:
    """Write the answer behind the former ones; ``imports`` and ``evidence`` number what the person was shown.

    PromotionRefused without a reason, or where somebody else has answered meanwhile.
    """
    if not said.reason.strip():
        raise PromotionRefused("a review needs a reason", where=version, do="Answer again, and say why.")
    former = read_reviews(store, version)
    if reviewed_imports(former) >= imports:
        raise PromotionRefused(
            "somebody has answered for these outcomes already",
            where=version,
            found=f"{former[-1].answer}, by {former[-1].by} at {former[-1].at}",
            do="Read the page of the watch.",
        )
    review = Review(
        seq=len(former) + 1,
        version=version,
        at=journal.now(),
        **said.model_dump(),
        imports=imports,
        evidence=evidence,
    )
    try:
        store.put_if_absent(
            layout.watch_reviews(version, review.seq), canonical_json(review.model_dump(mode="json"))
        )
    except ConditionFailed:
        raise PromotionRefused(
            "somebody else answered at the same time", where=version, do="Read the page of the watch."
        ) from None
    return review
