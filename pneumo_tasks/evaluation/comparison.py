"""The candidate against the champion, on the same test images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChampionRef:
    """The champion a candidate is measured against, as it was when the evaluation began."""

    version: str
    sha256: str
    threshold: float
    run_id: str
