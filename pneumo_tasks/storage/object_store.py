"""The only module that talks to S3: small, conditional, proven reads and writes."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pneumo_tasks.errors import (
    BadConfiguration,
    ConditionFailed,
    CorruptArtefact,
    ObjectMissing,
    PneumoError,
    StorageUnavailable,
)
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.conditional_writes import check_conditional_writes
from pneumo_tasks.storage.digests import canonical_json as canonical_json
from pneumo_tasks.storage.digests import check_digest as check_digest
from pneumo_tasks.storage.digests import sha256 as sha256
from pneumo_tasks.storage.digests import sha256_of_file as sha256_of_file
from pneumo_tasks.storage.guarding import Unguarded
from pneumo_tasks.storage.listings import agreed
from pneumo_tasks.storage.local_disk import discard, written_below
from pneumo_tasks.storage.proven_reads import Damaged, Received, encryption_of, is_range, prove, until_proven
from pneumo_tasks.storage.s3_errors import Operation, S3Errors
from pneumo_tasks.storage.sessions import endpoint_of, open_client
from pneumo_tasks.storage.stored import Listed as Listed
from pneumo_tasks.storage.stored import Stored as Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONFLICTS = 3  # writes of one object that may meet another


class ObjectStore:
    """One bucket. Every write carries its sha256; every read is proven (see ``proven_reads``).

    ``s3_errors`` says which answer raises what: ObjectMissing, ConditionFailed, BadConfiguration
    (credentials, bucket), StorageUnavailable (anything that may pass). With a ``guard`` evidence is sealed
    when it is written, and refused where it is not as it was sealed.
    """

    def __init__(self, client: "S3Client", bucket: str, guard: Unguarded | None = None) -> None:
        self.client, self.bucket, self.guard = client, bucket, guard or Unguarded()

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Open the bucket of ``settings``; credentials from the settings, else boto3's own chain."""
        from pneumo_tasks.sealing.guard import guard_of

        return cls(open_client(settings), settings.bucket, guard_of(settings))

    @property
    def address(self) -> dict[str, str]:
        """Endpoint and bucket, without credentials; AWS is one place, whatever its region is called."""
        return {"endpoint": endpoint_of(self.client), "bucket": self.bucket}

    # ---- reading -------------------------------------------------------------------------

    def get(self, key: str, expected_sha256: str | None = None) -> Stored:
        """Read one object whole.

        CorruptArtefact where repeated reads agree that it is not what its writer recorded, or the caller
        expects; StorageUnavailable where they do not agree.
        """

        def attempt() -> Received:
            with self._mapped(key):
                answer = self.client.get_object(Bucket=self.bucket, Key=key)
                body = answer["Body"].read()
            received = Received(body, answer["ETag"], answer["Metadata"], encryption_of(answer))
            prove(received, key, expected_sha256)
            return received

        try:
            received = until_proven(attempt, key)
        except ObjectMissing:
            self.guard.check_absence(self, key)
            raise
        self.guard.check(self, key, received)
        return Stored(received.body, received.etag)

    def read(self, key: str) -> bytes:
        return self.get(key).body

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes of one object from ``start``; fewer, or none, at its end.

        They are as many as the store says they are, and from where it says. What they are is for the
        caller to check: a range has no digest.
        """
        if length <= 0:
            return b""
        span = f"bytes={start}-{start + length - 1}"

        def attempt() -> bytes:
            with self._mapped(key):
                answer = self.client.get_object(Bucket=self.bucket, Key=key, Range=span)
                body = answer["Body"].read()
            if not is_range(str(answer.get("ContentRange", "")), start, length, len(body)):
                raise Damaged("not the range that was asked for", where=key, found=f"{len(body)} bytes")
            return body

        try:
            return until_proven(attempt, key)
        except BadConfiguration as error:
            if "InvalidRange" in error.found:  # it begins behind the end
                return b""
            raise

    def read_json(self, key: str) -> Any:
        try:
            return json.loads(self.read(key))
        except (ValueError, RecursionError) as error:
            raise CorruptArtefact("not a JSON document", where=key, found=str(error)) from None

    def read_verified(self, key: str, expected_sha256: str) -> bytes:
        """Read one object whose digest is known from elsewhere; CorruptArtefact where it has another."""
        return self.get(key, expected_sha256).body

    def download(self, key: str, path: Path, expected_sha256: str) -> None:
        """Stream one object to ``path``; the file exists only if its digest is the expected one.

        DiskUnusable where the folder does not take it.
        """
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")

        def attempt() -> None:
            size = self._head(key)["ContentLength"]
            with self._mapped(key), written_below(path.parent, size):
                self.client.download_file(self.bucket, key, str(part))
                found = sha256_of_file(part)
            try:
                check_digest(found, expected_sha256, key)
            except CorruptArtefact as verdict:
                raise Damaged("the bytes that arrived are others", where=key, verdict=verdict) from None

        try:
            until_proven(attempt, key)
            with written_below(path.parent):
                part.replace(path)
        finally:
            discard(part)

    def exists(self, key: str) -> bool:
        """Whether there is such an object. A HEAD's 404 has no body, so a GET has to say the same."""
        try:
            self._head(key)
        except ObjectMissing:
            try:
                self.read(key)
            except ObjectMissing:
                return False
        return True

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """Every object below ``prefix``, in key order, however many; markers of folders are none.

        StorageUnavailable where no two listings agree.
        """

        def objects() -> list[Listed]:
            return [
                Listed(entry["Key"], entry["Size"], entry.get("LastModified"), entry.get("ETag", ""))
                for page in self._pages(Prefix=prefix)
                for entry in page.get("Contents", [])
            ]

        expected = self.guard.expected(self, prefix)
        listing = agreed(objects, lambda found: (found.key, found.size, found.etag), prefix)
        self.guard.check_listing(self, prefix, expected, (found.key for found in listing))
        for listed in listing:
            if not (listed.key.endswith("/") and (listed.size == 0 or listed.key == prefix)):
                yield listed

    def list_folders(self, prefix: str) -> list[str]:
        """The names (without slashes) of the folders directly below ``prefix``."""

        def folders() -> list[str]:
            pages = self._pages(Prefix=prefix, Delimiter="/")
            return [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]

        names = [folder[len(prefix) : -1] for folder in agreed(folders, str, prefix)]
        return [name for name in names if name]

    def _pages(self, **asked: Any) -> Iterator[Any]:
        with self._mapped(asked["Prefix"]):
            yield from self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **asked)

    def _head(self, key: str) -> Any:
        with self._mapped(key):
            return self.client.head_object(Bucket=self.bucket, Key=key)

    # ---- writing -------------------------------------------------------------------------

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> str:
        """Write an object whose key is derived from its content or its run; returns the etag."""
        return self._put(key, body, content_type)

    def put_json(self, key: str, document: Any) -> str:
        return self.put(key, canonical_json(document), "application/json")

    def put_if_absent(self, key: str, body: bytes, content_type: str = "application/json") -> str:
        """Write an object that must not exist yet; ConditionFailed if it does, and only then.

        A store may answer a conflict where another write was on its way and failed: then nothing is there,
        and the write is made again. StorageUnavailable where each try meets such a conflict.
        """
        for _ in range(_CONFLICTS):
            try:
                return self._put(key, body, content_type, IfNoneMatch="*")
            except ConditionFailed:
                if self.exists(key):
                    raise
        raise StorageUnavailable("each write met another, and nothing is there", where=key, do="Try again.")

    def put_once(self, key: str, body: bytes, content_type: str = "application/json") -> bytes:
        """Write an object that is written once; returns what is stored: the first writer's bytes.

        Equal to ``body`` where this call, or an earlier one with the same bytes, was the first. A lost
        answer is settled by reading, so a repetition after a crash changes nothing.
        """
        try:
            self.put_if_absent(key, body, content_type)
        except (ConditionFailed, StorageUnavailable) as failure:
            try:
                return self.read(key)
            except ObjectMissing:
                raise failure from None
        return body

    def replace_if_unchanged(self, key: str, body: bytes, etag: str | None) -> str:
        """Replace the object last read with ``etag`` (None: it did not exist); else ConditionFailed."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        return self._put(key, body, "application/json", **condition)

    def upload(self, key: str, path: Path, content_type: str = "application/octet-stream") -> str:
        """Stream a file to ``key`` (multipart where large); returns its sha256."""
        digest, size = sha256_of_file(path), path.stat().st_size
        try:
            with self._mapped(key, "write"):
                self.client.upload_file(
                    str(path),
                    self.bucket,
                    key,
                    ExtraArgs={"Metadata": {"sha256": digest}, "ContentType": content_type},
                )
        except StorageUnavailable:
            if not self._holds(key, digest, size):
                raise
        return digest

    def _holds(self, key: str, digest: str, size: int) -> bool:
        """Whether an upload arrived although its answer was lost, or was "no such upload"."""
        try:
            found = self._head(key)
        except PneumoError:
            return False
        return bool(found["Metadata"].get("sha256") == digest and found["ContentLength"] == size)

    def delete(self, key: str) -> None:
        """Delete one object; nothing happens where there is none. Retention and probes alone call it."""
        self.guard.before_delete(self, key)
        with self._mapped(key, "delete"):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def ensure_bucket(self) -> None:
        """Create the bucket where it does not exist."""
        try:
            with self._mapped(self.bucket):
                self.client.head_bucket(Bucket=self.bucket)
        except ObjectMissing:
            with self._mapped(self.bucket, "write"):
                self.client.create_bucket(Bucket=self.bucket)

    def check_conditional_writes(self) -> None:
        """Prove that the store honours If-None-Match and If-Match; UnsafeStore where it does not."""
        check_conditional_writes(self)

    def _put(self, key: str, body: bytes, content_type: str, **condition: Any) -> str:
        metadata = {"sha256": (digest := sha256(body))}
        metadata |= self.guard.before_write(self, key, digest, absent="IfNoneMatch" in condition)
        with self._mapped(key, "conditional write" if condition else "write"):
            answer = self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=metadata,
                **condition,
            )
        self.guard.after_write(self, key, digest)
        return answer["ETag"]

    def _mapped(self, where: str, operation: Operation = "read") -> S3Errors:
        return S3Errors(f"s3://{self.bucket}/{where}", operation)
