"""What a store asks about evidence when it writes, reads, lists and deletes."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pneumo_tasks.storage.object_store import ObjectStore
    from pneumo_tasks.storage.proven_reads import Received


class Unguarded:
    """Asks nothing and refuses nothing; ``sealing.guard`` has the guards that a process is given."""

    def before_write(self, store: "ObjectStore", key: str, digest: str, *, absent: bool) -> Mapping[str, str]:
        """Metadata for what is about to be written at ``key``; ``absent``: nothing may be there yet."""
        del store, key, digest, absent
        return {}

    def after_write(self, store: "ObjectStore", key: str, digest: str) -> None: ...

    def before_delete(self, store: "ObjectStore", key: str) -> None: ...

    def check(self, store: "ObjectStore", key: str, received: "Received") -> None:
        """Raises where what was read may not be believed."""

    def check_absence(self, store: "ObjectStore", key: str) -> None:
        """Raises where an object that is not there has to be."""

    def expected(self, store: "ObjectStore", prefix: str) -> set[str]:
        """Keys that a listing which is made now has to hold."""
        del store, prefix
        return set()

    def check_listing(
        self, store: "ObjectStore", prefix: str, expected: set[str], found: Iterable[str]
    ) -> None:
        """Raises where a listing lacks what it has to hold, or holds what may not be believed."""

    def head(self, store: "ObjectStore") -> str | None:
        """What the ledger names of the evidence that there is; None where nothing counts it."""
        del store
        return None
