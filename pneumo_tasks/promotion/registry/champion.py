"""The champion pointer: the one object in the bucket that is ever replaced."""

from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, ValidationError

from pneumo_tasks.errors import ConditionFailed, CorruptArtefact, ObjectMissing, StorageUnavailable
from pneumo_tasks.evaluation.comparison import ChampionRef
from pneumo_tasks.evaluation.operating_point import OperatingPoint
from pneumo_tasks.promotion.registry.ledger import Entry, effective, read_ledger
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


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


class Pointer(BaseModel):
    """champion.json; ``version`` is None after a reset."""

    model_config = ConfigDict(frozen=True)

    version: str | None
    sha256: str | None
    seq: int


@dataclass(frozen=True, kw_only=True)
class Champion(ChampionRef):
    """The promoted version, its manifest, and where in the ledger it was promoted."""

    manifest: Manifest
    seq: int
    promoted_at: str


def read_pointer(store: ObjectStore) -> tuple[Pointer | None, str | None]:
    """The pointer and its etag; (None, None) where nothing was ever promoted."""
    try:
        stored = store.get(layout.CHAMPION)
    except ObjectMissing:
        return None, None
    return Pointer.model_validate_json(stored.body), stored.etag


def read_champion(store: ObjectStore) -> Champion | None:
    """The champion as the pointer names it, None where there is none (or it was reset).

    CorruptArtefact where pointer, manifest and ledger entry contradict each other.
    """
    pointer, _ = read_pointer(store)
    if pointer is None or pointer.version is None:
        return None
    entry = Entry.model_validate(store.read_json(layout.ledger_entry(pointer.seq)))
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
        manifest=manifest,
        seq=pointer.seq,
        promoted_at=entry.at,
    )


def champion_ref(store: ObjectStore) -> ChampionRef | None:
    """The champion that a candidate is to be compared with, and the original behind it."""
    champion = read_champion(store)
    if champion is None:
        return None
    first = read_recorded_manifest(store, original_version(store, champion.seq))
    return replace(champion, original=None if first.version == champion.version else _reference(first))


def original_version(store: ObjectStore, seq: int) -> str:
    """The first version ever promoted on the way to pointer ``seq``; a reset does not forget it."""
    for entry in effective(read_ledger(store), seq):
        if entry.version is not None:
            return entry.version
    raise ObjectMissing("the ledger holds no promotion", where=layout.ledger_entry(seq))


def _reference(manifest: Manifest) -> ChampionRef:
    return ChampionRef(manifest.version, manifest.sha256, manifest.threshold, manifest.run_id)


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


def move_pointer(store: ObjectStore, entry: Entry, etag: str | None) -> None:
    """Point at what ``entry`` says; ConditionFailed if the pointer is not the one read with ``etag``."""
    pointer = Pointer(version=entry.version, sha256=entry.sha256, seq=entry.seq)
    store.replace_if_unchanged(layout.CHAMPION, canonical_json(pointer.model_dump()), etag)


def try_move_pointer(store: ObjectStore, entry: Entry, etag: str | None) -> bool:
    """Move the pointer to ``entry``; False where somebody else moved it first.

    A conditional write may succeed and time out, and its repetition then fails its own condition:
    the outcome is read, never guessed.
    """
    try:
        move_pointer(store, entry, etag)
    except (ConditionFailed, StorageUnavailable) as error:
        pointer, _ = read_pointer(store)
        if pointer is not None and entry.seq in {e.seq for e in effective(read_ledger(store), pointer.seq)}:
            return True
        if isinstance(error, StorageUnavailable):
            raise
        return False
    return True
