"""Gaps: how far the slices of one kind lie apart: a model may be good for some and bad for others."""

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.evaluation.figures.interval import Interval
from pneumo_tasks.evaluation.figures.slices import Slice, SliceShare

Figure = Literal["recall", "specificity"]
FIGURES: tuple[Figure, ...] = ("recall", "specificity")


class Gap(BaseModel):
    """The best slice of a kind less the worst one, both with enough images of the class to be judged.

    ``interval`` holds for two slices that were named beforehand. Of many slices the best and the worst are
    picked because they lie far apart, so it reads the gap as too certain; with 0 inside, chance explains it.
    """

    model_config = ConfigDict(frozen=True)

    by: str
    figure: Figure
    value: float
    best: str
    worst: str
    slices: int
    interval: Interval | None = None


def slice_gaps(slices: Iterable[Slice], min_images: int) -> list[Gap]:
    """A gap for each figure and kind of slice of which two or more are judged, the widest first.

    A slice counts where it has ``min_images`` images of the class that the figure is of. Fairlearn calls this
    the difference between groups; it takes the recall of a group without an ill film for 0.
    """
    found: list[Gap] = []
    parts = list(slices)
    for figure in FIGURES:
        for by in dict.fromkeys(part.by for part in parts):
            judged: list[tuple[float, str, SliceShare]] = [
                (share.value, part.value, share)
                for part in parts
                if part.by == by and (share := getattr(part, figure)).images >= min_images
                if share.value is not None
            ]
            if len(judged) > 1:
                low, high = min(judged, key=lambda one: one[:2]), max(judged, key=lambda one: one[:2])
                found.append(
                    Gap(
                        by=by,
                        figure=figure,
                        value=high[0] - low[0],
                        best=high[1],
                        worst=low[1],
                        slices=len(judged),
                        interval=difference_interval(high[2], low[2]),
                    )
                )
    return sorted(found, key=lambda gap: -gap.value)


def difference_interval(share: SliceShare, other: SliceShare) -> Interval | None:
    """The interval of ``share`` less ``other``, two shares of different patients; None where one has none.

    Each side takes the distances of both shares to the ends of their own intervals and adds their squares:
    R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17 (1998), method 10; Donner and Zou (2012) show it for any intervals of the two. Ours count the
    films of a patient as such, so this one does.
    """
    if share.value is None or other.value is None or share.interval is None or other.interval is None:
        return None
    value = share.value - other.value
    down = math.hypot(share.value - share.interval.low, other.interval.high - other.value)
    up = math.hypot(share.interval.high - share.value, other.value - other.interval.low)
    return Interval(
        low=max(-1.0, value - down),
        high=min(1.0, value + up),
        level=min(share.interval.level, other.interval.level),
    )
