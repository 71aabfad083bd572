"""The only module that talks to S3: small, conditional, verified reads and writes."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pneumo_tasks.errors import (
    ConditionFailed,
    CorruptArtefact,
    ObjectMissing,
    StorageUnavailable,
    UnsafeStore,
)
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.s3_errors import S3Errors

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Stored:
    """An object as it was read: its bytes, and the etag that a conditional write refers to."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    key: str
    size: int
    modified: datetime | None = None
    etag: str = ""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(document: Any) -> bytes:
    """One byte sequence per document: sorted keys, no NaN, newline at the end."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode() + b"\n"


class ObjectStore:
    """One bucket. Every write carries its sha256; every read that finds one checks it.

    Raises ObjectMissing (404), ConditionFailed (409, 412, or 404 on a conditional write),
    BadConfiguration (credentials, bucket), StorageUnavailable (anything that may pass).
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self.client, self.bucket = client, bucket

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Open the bucket of ``settings``; credentials from the settings, else boto3's own chain."""
        from botocore.config import Config

        config = Config(
            s3={"addressing_style": "path"} if settings.s3_endpoint else {},
            retries={"mode": "standard", "max_attempts": 4},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
        )
        client = open_session(settings).client(
            "s3", endpoint_url=settings.s3_endpoint, region_name=settings.s3_region, config=config
        )
        return cls(client, settings.bucket)

    # ---- reading -------------------------------------------------------------------------

    def get(self, key: str) -> Stored:
        """Read one object whole; CorruptArtefact if it is not what its writer recorded."""
        with self._mapped(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            body = answer["Body"].read()
        if recorded := answer["Metadata"].get("sha256"):
            check_recorded(recorded, sha256(body), key)
        return Stored(body, answer["ETag"])

    def read(self, key: str) -> bytes:
        return self.get(key).body

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes of one object from ``start``; fewer, or none, at its end."""
        if length <= 0:
            return b""
        with self._mapped(key):
            answer = self.client.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes={start}-{start + length - 1}"
            )
            return answer["Body"].read()

    def read_json(self, key: str) -> Any:
        try:
            return json.loads(self.read(key))
        except ValueError as error:
            raise CorruptArtefact("not a JSON document", where=key, found=str(error)) from None

    def read_verified(self, key: str, expected_sha256: str) -> bytes:
        """Read one object whose digest is known from elsewhere; CorruptArtefact on any difference."""
        body = self.read(key)
        check_digest(sha256(body), expected_sha256, key)
        return body

    def download(self, key: str, path: Path, expected_sha256: str) -> None:
        """Stream one object to ``path``; the file exists only if its digest is the expected one."""
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with self._mapped(key):
                self.client.download_file(self.bucket, key, str(part))
            check_digest(sha256_of_file(part), expected_sha256, key)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        try:
            with self._mapped(key):
                self.client.head_object(Bucket=self.bucket, Key=key)
        except ObjectMissing:
            return False
        return True

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """Every object below ``prefix``, in key order, however many there are."""
        with self._mapped(prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                for entry in page.get("Contents", []):
                    yield Listed(
                        entry["Key"], entry["Size"], entry.get("LastModified"), entry.get("ETag", "")
                    )

    def list_folders(self, prefix: str) -> list[str]:
        """The names (without slashes) of the folders directly below ``prefix``."""
        names: list[str] = []
        with self._mapped(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                names += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", [])]
        return names

    # ---- writing -------------------------------------------------------------------------

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> str:
        """Write an object whose key is derived from its content or its run; returns the etag."""
        return self._put(key, body, content_type)

    def put_json(self, key: str, document: Any) -> str:
        return self.put(key, canonical_json(document), "application/json")

    def put_if_absent(self, key: str, body: bytes, content_type: str = "application/json") -> str:
        """Write an object that must not exist yet; ConditionFailed if it does."""
        return self._put(key, body, content_type, IfNoneMatch="*")

    def put_once(self, key: str, body: bytes, content_type: str = "application/json") -> bytes:
        """Write an object that is written once; returns what is stored: the first writer's bytes.

        Equal to ``body`` where this call, or an earlier one with the same bytes, was the first. A lost
        answer is settled by reading, so a repetition after a crash changes nothing.
        """
        try:
            self.put_if_absent(key, body, content_type)
        except ConditionFailed:
            return self.read(key)
        except StorageUnavailable as failure:
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
        digest = sha256_of_file(path)
        with self._mapped(key):
            self.client.upload_file(
                str(path),
                self.bucket,
                key,
                ExtraArgs={"Metadata": {"sha256": digest}, "ContentType": content_type},
            )
        return digest

    def delete(self, key: str) -> None:
        """Delete one object; nothing happens where there is none. Retention and probes alone call it."""
        with self._mapped(key):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def ensure_bucket(self) -> None:
        """Create the bucket where it does not exist."""
        try:
            with self._mapped(self.bucket):
                self.client.head_bucket(Bucket=self.bucket)
        except ObjectMissing:
            with self._mapped(self.bucket):
                self.client.create_bucket(Bucket=self.bucket)

    def check_conditional_writes(self) -> None:
        """Prove that the store honours If-None-Match and If-Match; UnsafeStore where it does not.

        Some stores answer 200 to any conditional write, which would let two promotions win.
        """
        key = f"{layout.STORE_PROBES}{uuid.uuid4().hex}"
        try:
            first = self.put_if_absent(key, b"first")
            self._must_refuse(key, "If-None-Match: *", IfNoneMatch="*")
            second = self.replace_if_unchanged(key, b"second", first)
            self._must_refuse(key, "a stale If-Match", IfMatch=first)
            if self.get(key) != Stored(b"second", second):
                raise UnsafeStore("the store lost a conditional write", where=key)
        finally:
            with self._mapped(key):
                self.client.delete_object(Bucket=self.bucket, Key=key)

    def _must_refuse(self, key: str, condition: str, **headers: str) -> None:
        try:
            self._put(key, b"intruder", "text/plain", **headers)
        except ConditionFailed:
            return
        raise UnsafeStore(
            f"the store ignored {condition}",
            where=self.bucket,
            do="Use a store with conditional writes: AWS S3, MinIO, VersityGW, SeaweedFS 4.18 or newer.",
        )

    def _put(self, key: str, body: bytes, content_type: str, **condition: Any) -> str:
        with self._mapped(key, conditional=bool(condition)):
            answer = self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata={"sha256": sha256(body)},
                **condition,
            )
        return answer["ETag"]

    def _mapped(self, where: str, conditional: bool = False) -> S3Errors:
        return S3Errors(f"s3://{self.bucket}/{where}", conditional)


def open_session(settings: Settings) -> "Session":
    """Credentials from the settings, else boto3's own chain."""
    import boto3

    if settings.s3_access_key is None or settings.s3_secret_key is None:
        return boto3.session.Session()
    return boto3.session.Session(
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
    )


def check_recorded(recorded: str | None, found: str, where: str) -> None:
    """CorruptArtefact where the writer of an object recorded another sha256 than its bytes have."""
    if recorded and recorded != found:
        raise CorruptArtefact(
            "the stored bytes changed",
            where=where,
            found=f"sha256 {found}, written as {recorded}",
            do="Restore the object from a backup or write it again.",
        )


def check_digest(found: str, expected: str, where: str) -> None:
    """Raise CorruptArtefact unless the two digests are equal."""
    if found != expected:
        raise CorruptArtefact(
            "digest differs",
            where=where,
            found=f"sha256 {found}, expected {expected}",
            do="Do not use it. Restore it from a backup, or write it again.",
        )
