"""``pneumo patient erase``: one patient leaves films, features, pictures and tables; the ledger says so."""

import io
import logging
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pandas as pd
from pydantic import BaseModel, ConfigDict

from pneumo_tasks.dataset.snapshots import training_rows
from pneumo_tasks.errors import BadBatch, BadConfiguration, BadData, ObjectMissing
from pneumo_tasks.intake.records.facts import FACTS
from pneumo_tasks.intake.sent.batches import read_batch
from pneumo_tasks.intake.sent.patients import canonical_key
from pneumo_tasks.promotion.erasing.erased_content import Traces, csv_without, json_without, parquet_without
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.ledger.seals import append_sealed
from pneumo_tasks.promotion.registry.champion import list_versions
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.former_versions import forget_former_versions
from pneumo_tasks.storage.local_disk import discard
from pneumo_tasks.storage.object_store import ObjectStore, sha256
from pneumo_tasks.training.features.local_cache import LocalCache

log = logging.getLogger(__name__)

_IMAGES = (".keras", ".npy", ".npz", ".onnx", ".h5", ".png", ".jpg", ".jpeg")  # no names, no digests
_OF_A_BATCH = (layout.INCOMING, layout.VALIDATIONS, layout.QUARANTINE)
_SIGNED = (layout.LEDGER, layout.SEALS, layout.MODELS, layout.PROTOCOLS)  # what the ledger's digests name


class Erased(BaseModel):
    """What went, what still names the patient, and which versions learned from the films.

    ``left`` are objects that the ledger's digests name, so that they cannot change: none holds an id as it
    was sent or pixels.
    """

    model_config = ConfigDict(frozen=True)

    films: int
    batches: int
    deleted: int
    rewritten: int
    former_versions: int
    trained_with: list[str]
    left: list[str]
    seq: int


@dataclass
class _Sweep:
    store: ObjectStore
    cache: LocalCache
    traces: Traces
    raw: frozenset[str]
    deleted: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def erase_patient(settings: Settings, store: ObjectStore, patient: str, by: str, reason: str) -> Erased:
    """Take every trace of ``patient`` (a key, ``family:id``) out of the bucket and of this machine's cache.

    The ledger gets the number of films and the reason, without the key. The facts go last, so that a
    command that was cut short finds them again. Former versions go too where the bucket keeps them.
    BadData where no film is the patient's; BadConfiguration where the reason names the patient.
    """
    traces, raw = _traces(store, canonical_key(patient))
    if any(text.casefold() in reason.casefold() for text in (traces.patient, patient, *traces.ids)):
        raise BadConfiguration("the reason names the patient, and the ledger keeps it for ever")
    trained = list(_trained_with(store, traces))
    films = sum(map(len, traces.names.values()))
    told = f"a patient was erased: {films} films of {len(traces.names)} batches; {reason}"
    attempt = f"erased-{uuid.uuid4().hex}"
    new = ledger.NewEntry(kind="erased", version=None, attempt=attempt, by=by, reason=told)
    entry = append_sealed(settings, store, new)
    sweep = _Sweep(store, LocalCache(settings), traces, raw)
    _sweep(sweep)
    touched = [*sweep.deleted, *sweep.rewritten]
    return Erased(
        films=films,
        batches=len(traces.names),
        deleted=len(sweep.deleted),
        rewritten=len(sweep.rewritten),
        former_versions=forget_former_versions(store, touched),
        trained_with=trained,
        left=sweep.left,
        seq=entry.seq,
    )


def _traces(store: ObjectStore, patient: str) -> tuple[Traces, frozenset[str]]:
    """What the facts of all batches say of the patient, and the keys of the films as they were sent."""
    ids, digests, raw = set[str](), set[str](), set[str]()
    names: dict[str, frozenset[str]] = {}
    for listed in store.list_objects(layout.VALIDATIONS):
        if not listed.key.endswith(f"/{FACTS}"):
            continue
        frame = pd.read_parquet(io.BytesIO(store.read(listed.key)))
        rows = frame[frame["patient"].map(lambda key: isinstance(key, str) and canonical_key(key)) == patient]
        if rows.empty:
            continue
        batch_id = listed.key.split("/")[1]
        names[batch_id] = names.get(batch_id, frozenset()) | frozenset(rows["file"])
        ids |= set(rows.get("patient_id", pd.Series(dtype=object)).dropna()) - {""}
        digests |= {
            str(d) for name in ("sha256", "pixel_digest") if name in rows for d in rows[name].dropna()
        }
        raw |= set(rows["key"].dropna()) | _sent(store, batch_id, names[batch_id])
    if not names:
        raise BadData("no film is this patient's", do="Keys are FAMILY:ID, as in `datasets/`.")
    digests |= {key.rpartition("/")[2] for key in raw if "/files/" in key}
    return Traces(patient, frozenset(ids), frozenset(digests), names), frozenset(raw)


def _sent(store: ObjectStore, batch_id: str, names: Collection[str]) -> set[str]:
    """The objects that the sender's films lie in: one each, or the archive, whole."""
    try:
        batch, _ = read_batch(store, batch_id)
        if batch.archive:
            return {layout.incoming_file(batch_id, batch.files_sha256)} if batch.files_sha256 else set()
        listed = store.read_json(layout.incoming_file(batch_id, batch.files_json_sha256))
    except (ObjectMissing, BadBatch, ValueError):
        return set()
    return {layout.incoming_file(batch_id, one["sha256"]) for one in listed if one["path"] in names}


def _trained_with(store: ObjectStore, traces: Traces) -> Iterator[str]:
    for manifest in list_versions(store):
        try:
            rows = training_rows(store, manifest.snapshot_id)
        except ObjectMissing:
            continue
        if (rows["patient"].map(canonical_key) == traces.patient).any():
            yield manifest.version


def _sweep(sweep: _Sweep) -> None:
    keys = [listed.key for listed in sweep.store.list_objects("")]
    for key in sorted(keys, key=lambda key: key.endswith(f"/{FACTS}")):
        if key in sweep.raw:
            _delete(sweep, key)
        elif key.startswith(layout.FEATURES) and key.endswith("/index.json"):
            _erase_shard(sweep, key)
        elif not key.endswith(_IMAGES):
            _erase_from(sweep, key)


def _erase_from(sweep: _Sweep, key: str) -> None:
    try:
        body = sweep.store.read(key)
    except ObjectMissing:  # a part of what was deleted before, or was to be when a command was cut short
        sweep.store.delete(key)
        return
    batch_id = key.split("/")[1] if key.startswith(_OF_A_BATCH) else ""
    if key.startswith(_SIGNED) or ("/revisions/" in key and key.endswith(".json")):
        if sweep.traces.are_in(body):
            sweep.left.append(key)
    elif key.endswith(".parquet"):
        _erase_rows(sweep, key, body)
    elif key.endswith(".html"):
        if batch_id in sweep.traces.names or sweep.traces.are_in(body):
            _delete(sweep, key)
    elif key.endswith("explanations.json"):
        if sweep.traces.are_in(body):  # the report shows the same pictures
            _delete(sweep, key)
            _delete(sweep, key.replace("explanations.json", "report.html"))
    else:
        _erase_text(sweep, key, body, sweep.traces.in_batch(batch_id))


def _erase_rows(sweep: _Sweep, key: str, body: bytes) -> None:
    rest = parquet_without(body, sweep.traces)
    if rest is None:
        return
    if not key.startswith((layout.VALIDATIONS, layout.DATASETS)):
        _delete(sweep, key)  # its name is its digest, or it is made again
        return
    _rewrite(sweep, key, rest)
    if key.startswith(layout.DATASETS):
        folder, _, name = key.rpartition("/")
        summary = sweep.store.read_json(f"{folder}/summary.json")
        if name in summary.get("tables", {}):
            summary["tables"][name] = sha256(rest)
            sweep.store.put_json(f"{folder}/summary.json", summary)


def _erase_text(sweep: _Sweep, key: str, body: bytes, texts: frozenset[str]) -> None:
    """A list or a table, whatever its name: what a sender sent is named by its digest alone."""
    try:
        rest = json_without(body, texts) if body[:1] in (b"{", b"[") else csv_without(body, texts)
    except (ValueError, RecursionError):  # another film, or an archive of another batch
        rest = None
    if rest is not None:
        _rewrite(sweep, key, rest)


def _erase_shard(sweep: _Sweep, key: str) -> None:
    """The whole shard, and its copy in the cache: it is computed again without the patient."""
    index = sweep.store.read_json(key)
    if sweep.traces.digests.isdisjoint(index["images"]):
        return
    for listed in list(sweep.store.list_objects(key.removesuffix("index.json"))):
        _delete(sweep, listed.key)
    discard(sweep.cache.path(index["sha256"]))


def _delete(sweep: _Sweep, key: str) -> None:
    sweep.store.delete(key)
    sweep.deleted.append(key)


def _rewrite(sweep: _Sweep, key: str, body: bytes) -> None:
    sweep.store.put(key, body)
    sweep.rewritten.append(key)
