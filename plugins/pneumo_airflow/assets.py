"""What other DAGs can start from, and what starts ours."""

from typing import Any

from airflow.sdk import Asset

# Its event carries version, sha256, seq, threshold, run_id and the test metrics (docs/reviewing.md).
CHAMPION = Asset(name="pneumo_champion", uri="pneumo://champion", group="pneumo")

# `pneumo batch upload --announce` sends its event.
BATCH = Asset(name="pneumo_batch", uri="pneumo://batch", group="pneumo")

# `pneumo outcomes import --announce` sends its event.
OUTCOMES = Asset(name="pneumo_outcomes", uri="pneumo://outcomes", group="pneumo")


def champion_event(summary: dict[str, Any]) -> dict[str, Any]:
    """What the event of a new champion carries: small, and enough to fetch and serve it.

    Version and ``seq`` are of one ledger entry, the one that the pointer names now.
    """
    known = ("seq", "version", "sha256", "run_id", "recipe", "threshold", "promoted_at", "test")
    return {name: summary[name] for name in known}
