"""Bytes that are proven to be those that were sent: what a verdict on a film needs."""

import hashlib
import re

from pneumo_tasks.errors import BadBatch, CorruptArtefact, ObjectMissing, StorageUnavailable
from pneumo_tasks.intake.archives import Source
from pneumo_tasks.storage.object_reader import Fetched, ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore, sha256

_TRIES = 3
_MD5 = re.compile(r"[0-9a-f]{32}")


def read_proven(reader: ObjectReader, source: Source) -> Fetched:
    """A whole object whose bytes are those that were sent; StorageUnavailable where they stay others.

    The digest that was sent decides. Where there is none, the size and the ETag of the listing do; an
    ETag that is no MD5 proves nothing, then two equal readings have to.
    """
    before = ""
    for _ in range(_TRIES):
        try:
            fetched = reader.read(source.key)
        except CorruptArtefact:
            continue
        except ObjectMissing:
            if source.sha256:
                continue
            raise
        if _is_proven(source, fetched, before):
            return fetched
        before = fetched.sha256
    raise StorageUnavailable(
        "a film does not arrive as it was sent",
        where=source.key,
        found=f"{_TRIES} readings, expected sha256 {source.sha256 or 'as listed'}",
        do="Try again. If it stays, the object was changed: upload the batch under another id.",
    )


def read_sent(store: ObjectStore, key: str, expected_sha256: str, most: int) -> bytes:
    """A document of a batch, at most ``most`` bytes of it, whose digest batch.json holds.

    StorageUnavailable where the bytes stay others; ObjectMissing where there is none.
    """
    if expected_sha256 == sha256(b""):
        return b""
    for _ in range(_TRIES):
        body = store.read_range(key, 0, most + 1)
        if len(body) > most:
            raise BadBatch("a document of the batch is too large", where=key, found=f"limit {most} bytes")
        if sha256(body) == expected_sha256:
            return body
    raise StorageUnavailable(
        "a document of the batch does not arrive as it was sent",
        where=key,
        found=f"{_TRIES} readings, expected sha256 {expected_sha256}",
        do="Try again. If it stays, the object was changed: upload the batch under another id.",
    )


def _is_proven(source: Source, fetched: Fetched, before: str) -> bool:
    if source.sha256:
        return fetched.sha256 == source.sha256
    if source.size and len(fetched.body) != source.size:
        return False
    etag = source.etag.strip('"')
    if _MD5.fullmatch(etag) and hashlib.md5(fetched.body, usedforsecurity=False).hexdigest() == etag:
        return True
    return fetched.sha256 == before
