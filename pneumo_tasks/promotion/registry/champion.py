"""The champion: the version that the pointer names, its manifest, and what it is compared by."""

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.evaluation.figures.metrics import Metrics
from pneumo_tasks.evaluation.figures.operating_point import OperatingPoint
from pneumo_tasks.evaluation.reference import ChampionRef
from pneumo_tasks.promotion.ledger.ledger import LedgerEntry, effective, read_ledger
from pneumo_tasks.promotion.ledger.seals import check_sealed
from pneumo_tasks.promotion.ledger.signatures import SignatureState
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from pneumo_tasks.evaluation.evidence import Evaluation

log = logging.getLogger(__name__)


class Manifest(BaseModel):
    """models/<version>/manifest.json, written last: the version exists if it does."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    run_id: str
    recipe: str
    snapshot_id: str
    test_set_id: str
    threshold: float
    operating_point: OperatingPoint
    synthetic: bool
    random_backbone: bool
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Champion(ChampionRef):
    """The promoted version, its manifest, and where in the ledger it was promoted."""

    manifest: Manifest
    seq: int
    promoted_at: str


def read_champion(store: ObjectStore) -> Champion | None:
    """The champion as the pointer names it, None where there is none (or it was reset).

    CorruptArtefact where pointer, manifest and ledger entry contradict each other.
    """
    pointer, _ = read_pointer(store)
    if pointer is None or pointer.version is None:
        return None
    with understood(key := layout.ledger_entry(pointer.seq)):
        entry = LedgerEntry.model_validate(store.read_json(key))
    manifest = read_manifest(store, pointer.version, entry.manifest_sha256)
    if not manifest.sha256 == pointer.sha256 == entry.sha256 or entry.version != pointer.version:
        raise CorruptArtefact(
            "the champion pointer, its manifest and its ledger entry disagree",
            where=layout.CHAMPION,
            found=f"{pointer.version}: sha256 {pointer.sha256}, {manifest.sha256}, {entry.sha256}",
            do="Run `pneumo models verify`; restore the object that changed.",
        )
    return Champion(
        version=manifest.version,
        sha256=manifest.sha256,
        threshold=manifest.threshold,
        run_id=manifest.run_id,
        snapshot_id=manifest.snapshot_id,
        manifest=manifest,
        seq=pointer.seq,
        promoted_at=entry.at,
    )


def champion_summary(store: ObjectStore) -> dict[str, Any] | None:
    """What ``pneumo models champion --json`` prints."""
    champion = read_champion(store)
    if champion is None:
        return None
    test = Metrics.model_validate(json.loads(_evaluation_of(store, champion.manifest))["test"])
    figures = {"images", "recall", "precision", "specificity", "accuracy", "auc", "confusion"}
    return {
        "version": champion.version,
        "sha256": champion.sha256,
        "run_id": champion.run_id,
        "recipe": champion.manifest.recipe,
        "threshold": champion.threshold,
        "promoted_at": champion.promoted_at,
        "seq": champion.seq,
        "test": test.model_dump(include=figures),
    }


def champion_ref(store: ObjectStore, settings: Settings | None = None) -> ChampionRef | None:
    """The champion that a candidate is to be compared with, and the original behind it.

    With ``settings``, CorruptArtefact where the champion or its entry is not signed and has to be.
    """
    champion = read_champion(store)
    if champion is None:
        return None
    if settings is not None:
        check_champion(settings, store, champion)
    then = registered_evaluation(store, champion.manifest)
    first = read_recorded_manifest(store, original_version(store, champion.seq))
    return replace(
        champion,
        original=None if first.version == champion.version else _reference(store, first),
        rivals=_best_before(store, champion, then, first.version),
        scores_sha256=then.scores_sha256,
        snapshot_sha256=then.snapshot_sha256,
    )


def check_champion(settings: Settings, store: ObjectStore, champion: Champion) -> SignatureState:
    """What the signatures of the champion are worth; CorruptArtefact where one is missing that has to be.

    Its entry in the ledger says that it was judged, by what, and with which result; the manifest what it is.
    """
    check_sealed(settings, store, layout.ledger_entry(champion.seq))
    return check_sealed(settings, store, layout.model(champion.version, "manifest.json"))


def registered_evaluation(store: ObjectStore, manifest: Manifest) -> "Evaluation":
    """The evaluation that a version was promoted by, its digest checked."""
    from pneumo_tasks.evaluation.evidence import Evaluation  # what shows a champion needs none of it

    return Evaluation.model_validate_json(_evaluation_of(store, manifest))


def _evaluation_of(store: ObjectStore, manifest: Manifest) -> bytes:
    key = layout.model(manifest.version, "evaluation.json")
    return store.read_verified(key, manifest.files["evaluation.json"])


def _best_before(
    store: ObjectStore, champion: Champion, then: "Evaluation", original: str
) -> tuple[ChampionRef, ...]:
    """The best versions so far of recall and of specificity, but for the champion and the original.

    As the champion's own evaluation measured them: what was best then and is not below the champion.
    """
    others = [other for other in (then.original, *then.rivals, then.champion) if other is not None]
    found: dict[str, ChampionRef] = {}
    for name in ("recall", "specificity"):
        ours = getattr(then.test, name)
        rated = [(getattr(other.test, name), other) for other in others]
        known = [(value, other) for value, other in rated if value is not None]
        if ours is None or not known:
            continue
        value, best = max(known, key=lambda pair: pair[0])  # the oldest of equals
        if value >= ours and best.version not in (champion.version, original):
            found[best.version] = _reference(store, read_recorded_manifest(store, best.version))
    return tuple(found.values())


def original_version(store: ObjectStore, seq: int) -> str:
    """The first version ever promoted on the way to pointer ``seq``; a reset does not forget it."""
    for entry in effective(read_ledger(store), seq):
        if entry.version is not None:
            return entry.version
    raise ObjectMissing("the ledger holds no promotion", where=layout.ledger_entry(seq))


def _reference(store: ObjectStore, manifest: Manifest) -> ChampionRef:
    then = registered_evaluation(store, manifest)
    return ChampionRef(
        manifest.version,
        manifest.sha256,
        manifest.threshold,
        manifest.run_id,
        manifest.snapshot_id,
        scores_sha256=then.scores_sha256,
        snapshot_sha256=then.snapshot_sha256,
    )


def read_recorded_manifest(store: ObjectStore, version: str) -> Manifest:
    """The manifest of a version; of one that was ever promoted, only as the ledger recorded it."""
    recorded = {e.manifest_sha256 for e in read_ledger(store) if e.version == version and e.manifest_sha256}
    if len(recorded) > 1:
        raise CorruptArtefact("the ledger names two manifests of one version", where=layout.model(version))
    return read_manifest(store, version, recorded.pop() if recorded else None)


def read_manifest(store: ObjectStore, version: str, expected_sha256: str | None = None) -> Manifest:
    """The manifest of a version, which holds its threshold and the digest of every file.

    CorruptArtefact where it is another version's, or not the one with the digest that is expected.
    """
    key = layout.model(version, "manifest.json")
    body = store.read(key) if expected_sha256 is None else store.read_verified(key, expected_sha256)
    try:
        manifest = Manifest.model_validate_json(body)
    except ValidationError as error:
        found = " ".join(str(error).split())[:200]
        raise CorruptArtefact("not a manifest", where=key, found=found) from None
    if manifest.version != version:
        raise CorruptArtefact(
            "a manifest of another version", where=layout.model(version), found=manifest.version
        )
    return manifest


def list_versions(store: ObjectStore) -> list[Manifest]:
    """Every complete version, in the order of its name."""
    manifests = []
    for version in filter(layout.is_identifier, store.list_folders(layout.MODELS)):
        try:
            manifests.append(read_manifest(store, version))
        except ObjectMissing:
            log.warning("version %s is not complete: it has no manifest", version)
    return manifests
