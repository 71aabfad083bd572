"""The model that a candidate is compared with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChampionRef:
    """The champion a candidate is measured against, as it was when the evaluation began.

    ``original`` is the first model ever promoted, where that is another one: many small allowed
    steps down add up, and only a fixed reference shows it. ``rivals`` are the best versions so far of
    recall and of specificity, where those are neither of the two. The digests are of the scores of its own
    evaluation and of the summary of its snapshot; empty where an earlier release made it.
    """

    version: str
    sha256: str
    threshold: float
    run_id: str
    snapshot_id: str
    original: "ChampionRef | None" = None
    rivals: tuple["ChampionRef", ...] = ()
    scores_sha256: str = ""
    snapshot_sha256: str = ""
