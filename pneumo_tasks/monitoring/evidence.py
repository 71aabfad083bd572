"""Evidence of the watch: one document with all that a person needs to answer an alarm, or to see none."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks import journal
from pneumo_tasks.evaluation.probes.shift import ShiftFact
from pneumo_tasks.evaluation.unseen.unseen_figures import UnseenFigures, unseen_figures
from pneumo_tasks.evaluation.unseen.unseen_table import read_table
from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.monitoring.drift import ScoreDrift, image_drift, score_drift
from pneumo_tasks.monitoring.outcome_files import collect_outcomes
from pneumo_tasks.monitoring.outcomes import read_imports
from pneumo_tasks.monitoring.prospective import Promise, Prospective, Reference
from pneumo_tasks.monitoring.reviews import Review, read_reviews
from pneumo_tasks.monitoring.watching import promise_of, reference_of, sentence, watch_version
from pneumo_tasks.promotion.registry.champion import Champion, read_champion
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.numbered import append_changed, last_document
from pneumo_tasks.storage.object_store import ObjectStore


class WatchEvidence(BaseModel):
    """watch-evidence/<seq>.json. ``due``: an alarm that nobody has answered yet."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: str
    version: str
    sentence: str
    due: bool
    imports: int
    threshold: float
    locked: dict[str, float]
    tolerated: dict[str, float]
    found: Prospective
    unseen: UnseenFigures | None
    scores: ScoreDrift | None
    images: list[ShiftFact]
    reviews: list[Review]
    faults: list[str]


def gather_evidence(settings: Settings, store: ObjectStore) -> WatchEvidence | None:
    """Import what waits in the bucket, watch the champion, and write what was found; None without a champion.

    Where nothing changed since the last time nothing is written. It never acts: it says what is due.
    """
    champion = read_champion(store)
    if champion is None:
        return None
    faults = collect_outcomes(store)
    imports, reference = read_imports(store), reference_of(store, champion)
    found = watch_version(settings, store, reference, imports)
    evidence = WatchEvidence(
        seq=0,  # where it lies says it
        at=journal.now(),
        sentence=sentence(found),
        due=found.alarm,
        imports=len(imports),
        **_promised(reference, promise_of(settings)),
        found=found,
        unseen=_unseen(settings, store, champion),
        scores=score_drift(imports, champion.version),
        images=image_drift(store),
        reviews=read_reviews(store, champion.version),
        faults=faults,
    )
    document = evidence.model_dump(mode="json", exclude={"seq"})
    append_changed(store, layout.WATCH_EVIDENCE, layout.watch_evidence, document, but="at")
    return read_evidence(store)


def read_evidence(store: ObjectStore) -> WatchEvidence | None:
    """The last evidence; None before the first. One listing and one object."""
    seq, document = last_document(store, layout.WATCH_EVIDENCE, layout.watch_evidence)
    return None if document is None else WatchEvidence.model_validate({**document, "seq": seq})


def _promised(reference: Reference, promise: Promise) -> dict[str, Any]:
    return {
        "version": reference.version,
        "threshold": reference.threshold,
        "locked": {"recall": reference.recall, "specificity": reference.specificity},
        "tolerated": {
            "recall": reference.recall - promise.recall_tolerance,
            "specificity": reference.specificity - promise.specificity_tolerance,
        },
    }


def _unseen(settings: Settings, store: ObjectStore, champion: Champion) -> UnseenFigures | None:
    table = read_table(store, champion.sha256)
    if not len(table):
        return None
    return unseen_figures(table, accepted_images(store, settings.patient_site), champion.threshold)
