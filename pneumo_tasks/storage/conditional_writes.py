"""The proof that a store honours conditional writes; without it no pointer may be moved in it.

Some stores answer 200 to any conditional write, which would let two promotions win.
"""

import logging
import uuid
from typing import TYPE_CHECKING

from pneumo_tasks.errors import ConditionFailed, PneumoError, UnsafeStore
from pneumo_tasks.storage import layout

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore

log = logging.getLogger(__name__)


def check_conditional_writes(store: "ObjectStore") -> None:
    """UnsafeStore where a write that its condition forbids is taken.

    Where the store keeps what it has (object lock, a role that may not delete) the probe stays there.
    """
    key = f"{layout.STORE_PROBES}{uuid.uuid4().hex}"
    try:
        first = store.put_if_absent(key, b"first")
        _must_refuse(store, key, "If-None-Match: *", None)
        second = store.replace_if_unchanged(key, b"second", first)
        _must_refuse(store, key, "a stale If-Match", first)
        stored = store.get(key)
        if (stored.body, stored.etag) != (b"second", second):
            raise UnsafeStore("the store lost a conditional write", where=key)
    finally:
        try:
            store.delete(key)
        except PneumoError as error:
            log.warning("a probe of conditional writes stays in the bucket: %s", error)


def _must_refuse(store: "ObjectStore", key: str, condition: str, etag: str | None) -> None:
    try:
        store.replace_if_unchanged(key, b"intruder", etag)
    except ConditionFailed:
        return
    raise UnsafeStore(
        f"the store ignored {condition}",
        where=store.bucket,
        do="Use a store with conditional writes: AWS S3, MinIO, VersityGW, SeaweedFS 4.18 or newer.",
    )
