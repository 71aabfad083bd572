"""The champion pointer: the one object in the bucket that is ever replaced."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import ConditionFailed, ObjectMissing, StorageUnavailable
from pneumo_tasks.promotion.ledger.ledger import LedgerEntry, effective, read_ledger
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


class Pointer(BaseModel):
    """champion.json; ``version`` is None after a reset."""

    model_config = ConfigDict(frozen=True)

    version: str | None
    sha256: str | None
    seq: int


class Moved(BaseModel):
    """Where the pointer went: the version, None after a reset, and the ledger entry that says so."""

    model_config = ConfigDict(frozen=True)

    version: str | None
    sha256: str | None
    seq: int

    @classmethod
    def by(cls, entry: LedgerEntry) -> Self:
        return cls(version=entry.version, sha256=entry.sha256, seq=entry.seq)


def read_pointer(store: ObjectStore) -> tuple[Pointer | None, str | None]:
    """The pointer and its etag; (None, None) where nothing was ever promoted."""
    try:
        stored = store.get(layout.CHAMPION)
    except ObjectMissing:
        return None, None
    with understood(layout.CHAMPION):
        return Pointer.model_validate_json(stored.body), stored.etag


def move_pointer(store: ObjectStore, entry: LedgerEntry, etag: str | None) -> None:
    """Point at what ``entry`` says; ConditionFailed if the pointer is not the one read with ``etag``."""
    pointer = Pointer(version=entry.version, sha256=entry.sha256, seq=entry.seq)
    store.replace_if_unchanged(layout.CHAMPION, canonical_json(pointer.model_dump()), etag)


def try_move_pointer(store: ObjectStore, entry: LedgerEntry, etag: str | None) -> bool:
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
