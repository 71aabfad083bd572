"""The pages about the coming weeks: the matrix, and the watch over the champion."""

from typing import TYPE_CHECKING, Any

from pneumo_airflow.reports.heat import heat_of, warmth

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore

MARKS = {"unseen": "●", "later": "◌", "held out": "○", "mixed": "◐", "test set": "▣"}


def matrix_facts(store: "ObjectStore") -> dict[str, Any]:
    """What the matrix page shows: the last one that was written, in two reads."""
    from pneumo_tasks.monitoring.matrix import read_matrix

    found = read_matrix(store)
    if found is None:
        return {"heat": None}
    return {
        "heat": heat_of(found),
        "made_at": found.made_at,
        "withdrawn": found.withdrawn,
        "corrected": found.corrected,
        "marks": MARKS,
        "warmth": warmth,
    }


def watch_facts(store: "ObjectStore") -> dict[str, Any]:
    """What the page of the watch shows: the last evidence, in two reads."""
    from pneumo_tasks.monitoring.evidence import read_evidence
    from pneumo_tasks.monitoring.note import headline, told_evidence

    found = read_evidence(store)
    if found is None:
        return {"evidence": None}
    return {"evidence": found, "headline": headline(found), "told_evidence": told_evidence(found.found)}
