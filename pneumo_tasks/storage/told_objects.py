"""The bucket as one stage sees it: what earlier stages named has the bytes that they wrote, or is refused.

Digests travel by the scheduler, not through the bucket: who may write the bucket cannot change both.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pneumo_tasks.storage.digests import sha256
from pneumo_tasks.storage.guarding import Unguarded
from pneumo_tasks.storage.object_store import ObjectStore, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ToldStore(ObjectStore):
    """``told`` is what earlier stages said (key to sha256); what this one reads and writes is noted.

    CorruptArtefact where an object that was told has other bytes. What this stage itself writes over a
    told object is told from then on.
    """

    def __init__(
        self, client: "S3Client", bucket: str, told: Mapping[str, str], guard: Unguarded | None = None
    ) -> None:
        super().__init__(client, bucket, guard)
        self.told, self._noted = dict(told), dict[str, str]()

    @classmethod
    def of(cls, store: ObjectStore, told: Mapping[str, str]) -> Self:
        return cls(store.client, store.bucket, told, store.guard)

    def noted(self, *places: str) -> dict[str, str]:
        """The digests of all that was read or written so far below ``places``, for the stages that follow."""
        return {key: found for key, found in sorted(self._noted.items()) if key.startswith(places)}

    def get(self, key: str, expected_sha256: str | None = None) -> Stored:
        stored = super().get(key, expected_sha256 or self.told.get(key))
        if key.endswith(_NOTED):
            self._noted[key] = sha256(stored.body)
        return stored

    def upload(self, key: str, path: Path, content_type: str = "application/octet-stream") -> str:
        digest = super().upload(key, path, content_type)
        self._note(key, digest)
        return digest

    def _put(self, key: str, body: bytes, content_type: str, **condition: str) -> str:
        etag = super()._put(key, body, content_type, **condition)
        self._note(key, sha256(body))
        return etag

    def _note(self, key: str, digest: str) -> None:
        self._noted[key] = digest
        if key in self.told:
            self.told[key] = digest


# What stages tell each other by; films and arrays have their digests in these.
_NOTED = (".json", ".npz", ".parquet")
