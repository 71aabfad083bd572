"""What the role of this process may do in the bucket, found out by doing it once."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumo_tasks.errors import FinalError
from pneumo_tasks.storage import layout

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore


@dataclass(frozen=True)
class Permission:
    """One operation; ``refused`` is the store's own answer, empty where it may be done."""

    operation: str
    refused: str
    needed_by: str


def examine_permissions(store: "ObjectStore") -> list[Permission]:
    """List, write, read and delete a probe; StorageUnavailable where the store does not answer.

    Without the right to delete the probe stays below ``store-probes/``.
    """
    key = f"{layout.STORE_PROBES}{uuid.uuid4().hex}"
    return [
        _tried("list", lambda: list(store.list_objects(layout.STORE_PROBES)), "every command and page"),
        _tried("write", lambda: store.put(key, b"may I?"), "every task, `pneumo retrain` and uploads"),
        _tried("read", lambda: store.exists(key), "every command and page"),
        _tried("delete", lambda: store.delete(key), "`pneumo prune` alone"),
    ]


def _tried(operation: str, act: Callable[[], object], needed_by: str) -> Permission:
    try:
        act()
    except FinalError as error:
        return Permission(operation, str(error), needed_by)
    return Permission(operation, "", needed_by)
