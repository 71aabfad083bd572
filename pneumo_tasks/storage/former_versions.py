"""What a versioned bucket keeps of objects that were overwritten or deleted."""

from collections.abc import Iterable

from pneumo_tasks.storage.object_store import ObjectStore
from pneumo_tasks.storage.s3_errors import S3Errors


def forget_former_versions(store: ObjectStore, keys: Iterable[str]) -> int:
    """Delete every version of ``keys`` but the one that is read now; returns how many there were.

    A marker that says that an object is deleted goes too. Nothing happens where the bucket never kept
    versions. BadConfiguration where the credentials may not, or an object is locked.
    """
    with S3Errors(f"s3://{store.bucket}", "read"):
        if "Status" not in store.client.get_bucket_versioning(Bucket=store.bucket):
            return 0
    return sum(_forget(store, key) for key in keys)


def _forget(store: ObjectStore, key: str) -> int:
    found: list[str] = []
    with S3Errors(f"s3://{store.bucket}/{key}", "delete"):
        for page in store.client.get_paginator("list_object_versions").paginate(
            Bucket=store.bucket, Prefix=key
        ):
            versions = [entry for entry in page.get("Versions", []) if not entry["IsLatest"]]
            listed = [*versions, *page.get("DeleteMarkers", [])]
            found += [entry["VersionId"] for entry in listed if entry["Key"] == key]
        for version in found:
            store.client.delete_object(Bucket=store.bucket, Key=key, VersionId=version)
    return len(found)
