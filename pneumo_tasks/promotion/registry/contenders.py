"""Contenders: the models that score films before training, the champion first."""

from pneumo_tasks.errors import FinalError, ObjectMissing
from pneumo_tasks.evaluation.record import read_evaluation
from pneumo_tasks.evaluation.unseen.new_films import Contender
from pneumo_tasks.promotion.registry.champion import (
    Manifest,
    list_versions,
    read_champion,
    read_recorded_manifest,
)
from pneumo_tasks.promotion.runs.index import list_runs
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.training.export.candidate import Candidate, read_candidate

_LOOKED_AT = 3  # times as many runs as candidates are wanted


def find_contenders(store: ObjectStore, most: int) -> list[Contender]:
    """At most ``most`` models, the champion first; none where there is no champion, for one read."""
    champion = read_champion(store) if most else None
    if champion is None:
        return []
    found = {champion.sha256: _registered(store, champion.manifest, live=True)}
    runs = [run for run in list_runs(store) if run.figures is not None and run.run_id != champion.run_id]
    for run in runs[: _LOOKED_AT * most]:
        if len(found) == most:
            break
        contender = candidate_of(store, run.run_id)
        if contender is not None:
            found.setdefault(contender.sha256, contender)
    return list(found.values())


def registered_contenders(store: ObjectStore) -> list[Contender]:
    """Every registered version, each document's digest checked."""
    return [
        _registered(store, read_recorded_manifest(store, found.version)) for found in list_versions(store)
    ]


def candidate_of(store: ObjectStore, run_id: str) -> Contender | None:
    """The evaluated candidate of a run; None where its file is not kept any more, or never was evaluated."""
    key = layout.run(run_id, "candidate.keras")
    try:
        candidate, evaluation = read_candidate(store, run_id), read_evaluation(store, run_id)
    except (FinalError, ValueError):
        return None
    if evaluation.sha256 != candidate.sha256 or not store.exists(key):
        return None
    return Contender(evaluation.version, key, evaluation.operating_point.threshold, run_id, candidate)


def _registered(store: ObjectStore, manifest: Manifest, live: bool = False) -> Contender:
    name = "candidate.json"
    try:
        digest = manifest.files[name]
    except KeyError:
        raise ObjectMissing("a version without its candidate", where=layout.model(manifest.version)) from None
    body = store.read_verified(layout.model(manifest.version, name), digest)
    return Contender(
        manifest.version,
        layout.model(manifest.version, "model.keras"),
        manifest.threshold,
        manifest.run_id,
        Candidate.model_validate_json(body),
        live,
    )
