"""Revisions: each evaluation and decision of a run is an object that is written once, and numbered.

``evaluation.json`` and ``decision.json`` are copies of the last revision, for whoever wants what holds now.
What a ledger entry rests on is named by revision and digest, and cannot change.
"""

from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import ConditionFailed, CorruptArtefact, StorageUnavailable
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.numbered import last_number
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json, sha256

_MOST = 9999


class Revision(BaseModel):
    """Where a document was written once, and the sha256 of its bytes."""

    model_config = ConfigDict(frozen=True)

    key: str
    sha256: str


def revise(store: ObjectStore, run_id: str, kind: str, document: dict[str, Any]) -> Revision:
    """Write ``document`` as the next revision and as ``<kind>.json``; the same as the last one: that one.

    Two writers at once get two numbers, and the copy is of one of them.
    """
    body = canonical_json(document)
    number = _last(store, run_id, kind)
    if number and store.read(layout.revision(run_id, kind, number)) == body:
        key = layout.revision(run_id, kind, number)
    else:
        key = _written(store, run_id, kind, number + 1, body)
    store.put(layout.run(run_id, f"{kind}.json"), body, "application/json")
    return Revision(key=key, sha256=sha256(body))


def last_revision(store: ObjectStore, run_id: str, kind: str) -> Revision | None:
    """The last revision, None where the run has none, as runs of earlier releases have."""
    number = _last(store, run_id, kind)
    if not number:
        return None
    key = layout.revision(run_id, kind, number)
    return Revision(key=key, sha256=sha256(store.read(key)))


def read_last(store: ObjectStore, run_id: str, kind: str, task: str) -> tuple[bytes, Revision | None]:
    """``<kind>.json`` and the revision that it is; None for a run of an earlier release.

    CorruptArtefact where it is not the last revision, naming the ``task`` to clear.
    """
    key = layout.run(run_id, f"{kind}.json")
    body, last = store.read(key), last_revision(store, run_id, kind)
    if last is not None and last.sha256 != sha256(body):
        raise CorruptArtefact(
            f"the document is not the last revision of the {kind}",
            where=key,
            found=f"sha256 {sha256(body)[:12]}, {last.key} has {last.sha256[:12]}",
            do=f"Somebody wrote it by hand: clear {task} and what follows it.",
        )
    return body, last


def _last(store: ObjectStore, run_id: str, kind: str) -> int:
    prefix = layout.run(run_id, f"revisions/{kind}-")
    return last_number(store, prefix, partial(layout.revision, run_id, kind))


def _written(store: ObjectStore, run_id: str, kind: str, first: int, body: bytes) -> str:
    for number in range(first, _MOST):
        key = layout.revision(run_id, kind, number)
        try:
            store.put_if_absent(key, body)
        except ConditionFailed:
            if store.read(key) != body:  # another writer's; ours, where an answer was lost
                continue
        return key
    raise StorageUnavailable("no revision is free", where=layout.run(run_id), found=f"limit {_MOST}")
