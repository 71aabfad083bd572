"""Gaps: how far the slices of one kind lie apart: a model may be good for some and bad for others."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.figures.slices import Slice

Figure = Literal["recall", "specificity"]
FIGURES: tuple[Figure, ...] = ("recall", "specificity")


class Gap(BaseModel):
    """The best slice of a kind less the worst one, both with enough images of the class to be judged."""

    model_config = ConfigDict(frozen=True)

    by: str
    figure: Figure
    value: float
    best: str
    worst: str
    slices: int


def slice_gaps(slices: Iterable[Slice], min_images: int) -> list[Gap]:
    """A gap for each figure and kind of slice of which two or more are judged, the widest first.

    A slice counts where it has ``min_images`` images of the class that the figure is of. Fairlearn calls this
    the difference between groups; it takes the recall of a group without an ill film for 0.
    """
    found: list[Gap] = []
    parts = list(slices)
    for figure in FIGURES:
        for by in dict.fromkeys(part.by for part in parts):
            judged = [
                (share.value, part.value)
                for part in parts
                if part.by == by and (share := getattr(part, figure)).images >= min_images
                if share.value is not None
            ]
            if len(judged) > 1:
                (low, worst), (high, best) = min(judged), max(judged)
                found.append(
                    Gap(by=by, figure=figure, value=high - low, best=best, worst=worst, slices=len(judged))
                )
    return sorted(found, key=lambda gap: -gap.value)
