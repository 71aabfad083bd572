"""Which runs a list shows, and in which order: as its address says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from pneumo_tasks.promotion.runs.runs import RunSummary

PAGE_RUNS = 100

Order = Literal["started", "by", "images", "recall", "precision", "change", "decision"]
Outcome = Literal[
    "",
    "running",
    "waiting",
    "promoted",
    "rejected",
    "identical",
    "dry-run",
    "nothing-new",
    "failed",
    "stopped",
    "lost-contact",
]

_KEYS: dict[str, Callable[["RunSummary"], Any]] = {
    "started": lambda run: run.moment or None,
    "by": lambda run: run.started_by,
    "images": lambda run: run.data.images if run.data else None,
    "recall": lambda run: run.figures.recall if run.figures else None,
    "precision": lambda run: run.figures.precision if run.figures else None,
    "change": lambda run: recall_change(run),
    "decision": lambda run: run.decision or run.state,
}


class Listing(BaseModel):
    """The query of the list; unknown values are refused, a page too far is empty."""

    q: str = Field("", max_length=200)
    decision: Outcome = ""
    sort: Order = "started"
    up: bool = False
    page: int = Field(1, ge=1, le=1000)

    def link(self, **changes: object) -> str:
        """The address of this list with something changed, relative to it."""
        asked = {**self.model_dump(exclude_defaults=True), **changes}
        return "?" + urlencode({name: str(value).lower() if value is True else value
                                for name, value in asked.items() if value not in (False, "")})  # fmt: skip

    def sorted_by(self, order: Order) -> str:
        """The address of this list in another order; the same again turns it round."""
        return self.link(sort=order, up=self.sort == order and not self.up, page=1)


@dataclass(frozen=True)
class Shown:
    """One page of the runs that the filter let through."""

    runs: Sequence["RunSummary"]
    found: int
    total: int
    pages: int


def arrange(runs: Sequence["RunSummary"], listing: Listing) -> Shown:
    """Filter, sort (runs without a value always last) and cut out one page."""
    wanted = [run for run in runs if _matches(run, listing)]
    key = _KEYS[listing.sort]
    valued = sorted((run for run in wanted if key(run) is not None), key=key, reverse=not listing.up)
    ordered = valued + [run for run in wanted if key(run) is None]
    start = (listing.page - 1) * PAGE_RUNS
    pages = max(1, -(-len(ordered) // PAGE_RUNS))
    return Shown(ordered[start : start + PAGE_RUNS], len(ordered), len(runs), pages)


def recall_change(run: "RunSummary") -> float | None:
    """Against the champion of the day, as a share."""
    return (run.figures.change or {}).get("recall") if run.figures else None


def _matches(run: "RunSummary", listing: Listing) -> bool:
    if listing.decision and listing.decision != (run.decision or run.state):
        return False
    text = " ".join(filter(None, (run.run_id, run.version, run.reason, run.started_by, run.moment)))
    return listing.q.lower() in text.lower()
