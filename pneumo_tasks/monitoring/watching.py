"""The watch over the champion: what its outcomes say, kept once for each state of the outcomes."""

from dataclasses import asdict

from pneumo_tasks.errors import BadData
from pneumo_tasks.evaluation.evidence import Evaluation
from pneumo_tasks.monitoring.outcomes import Import, read_imports
from pneumo_tasks.monitoring.prospective import Promise, Prospective, Reference, prospective
from pneumo_tasks.monitoring.reviews import read_reviews, reviewed_imports
from pneumo_tasks.promotion.registry.champion import Champion, read_champion
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

WEEKS_A_YEAR = 52


def watch_champion(settings: Settings, store: ObjectStore) -> Prospective | None:
    """The prospective figures of the champion, and whether a review is due; None without a champion.

    Writes watch/<version>/<state>.json, once for each state of the outcomes and of the settings.
    """
    champion = read_champion(store)
    if champion is None:
        return None
    return watch_version(settings, store, reference_of(store, champion), read_imports(store))


def watch_version(
    settings: Settings, store: ObjectStore, reference: Reference, imports: list[Import]
) -> Prospective:
    """The same for a version and imports that the caller has read, so that both speak of one state."""
    promise = promise_of(settings)
    reviewed = reviewed_imports(read_reviews(store, reference.version))
    found = prospective(imports, reference, promise, reviewed)
    asked = sha256(canonical_json({**asdict(reference), **asdict(promise), "reviewed": reviewed}))[:8]
    key = layout.watched(reference.version, f"{len(imports):08d}-{asked}")
    store.put_once(key, canonical_json(found.model_dump(mode="json")))
    return found


def promise_of(settings: Settings) -> Promise:
    """What the settings tolerate, with the false alarms of a year as a chance in a week."""
    return Promise(
        settings.watch_recall_tolerance,
        settings.watch_specificity_tolerance,
        min(settings.watch_false_alarms_a_year / WEEKS_A_YEAR, 1.0),
    )


def sentence(found: Prospective) -> str:
    """One line for a person: quiet, or what to look at."""
    if found.alarm:
        return f"review due since {found.first_alarm}: look at {', '.join(found.loudest)}"
    if not found.weeks:
        return "no confirmed diagnosis yet"
    evidence = f"evidence {found.evidence:.1f} of the {found.needed:.0f} that open a review"
    return f"quiet: {found.weeks} weeks, {evidence}"


def reference_of(store: ObjectStore, champion: Champion) -> Reference:
    """What the champion reached on the locked test set when it was promoted, its digest checked."""
    key = layout.model(champion.version, "evaluation.json")
    body = store.read_verified(key, champion.manifest.files["evaluation.json"])
    test = Evaluation.model_validate_json(body).test
    if test.recall is None or test.specificity is None:
        raise BadData("the champion's evaluation has no recall or specificity", where=key)
    return Reference(champion.version, champion.threshold, test.recall, test.specificity)
