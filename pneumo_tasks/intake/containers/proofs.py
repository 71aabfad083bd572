"""Bytes that are proven to be those that were sent: what a verdict on a film needs."""

import hashlib
import re
from dataclasses import replace

from pneumo_tasks.errors import BadBatch, BadData, CorruptArtefact, ObjectMissing, StorageUnavailable
from pneumo_tasks.intake.containers.archives import Files, Source, list_members, read_source
from pneumo_tasks.storage.object_reader import Fetched, ObjectReader
from pneumo_tasks.storage.object_store import ObjectStore, sha256

_TRIES = 3
_CHUNK = 8 * 2**20
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


def read_member(store: Files, source: Source, most: int) -> bytes:
    """A member of a proven archive; BadData where it stays damaged, StorageUnavailable where it differs."""
    failure: BadData | StorageUnavailable | None = None
    for _ in range(_TRIES):
        try:
            data = read_source(store, source, most)
        except BadData as error:
            failure = error
            continue
        if not source.sha256 or len(data) != source.length or sha256(data) == source.sha256:
            return data
        failure = _differs(f"{source.key}/{source.file}", source.sha256)
    raise failure or _differs(source.key, source.sha256)


def prove_archive(store: ObjectStore, key: str, name: str, expected_sha256: str) -> list[Source]:
    """The members of an archive that is whole and as it was sent, those of a .tar with their digests.

    A .tar has no checksum of its members, so it is read once from end to end; StorageUnavailable where
    its digest stays another than the sent one, or two listings of it differ.
    """
    members = list_members(store, key, name)
    if list_members(store, key, name) != members:
        raise _differs(key, expected_sha256)
    for _ in range(_TRIES):
        digest, proven = _digests(store, key, members, of_members=name.endswith(".tar"))
        if expected_sha256 in ("", digest):
            return proven
    raise _differs(key, expected_sha256)


def _digests(
    store: ObjectStore, key: str, members: list[Source], of_members: bool
) -> tuple[str, list[Source]]:
    """The sha256 of a whole object, and the members with that of their own bytes, from one reading."""
    size = sum(listed.size for listed in store.list_objects(key) if listed.key == key)
    whole, parts = hashlib.sha256(), {at: hashlib.sha256() for at in range(len(members)) if of_members}
    for start in range(0, size, _CHUNK):
        chunk = store.read_range(key, start, min(_CHUNK, size - start))
        whole.update(chunk)
        for at, part in parts.items():
            offset, length = members[at].offset or 0, members[at].length
            if length > 0 and offset < start + len(chunk) and offset + length > start:
                part.update(chunk[max(0, offset - start) : offset + length - start])
    proven = [
        replace(member, sha256=parts[at].hexdigest()) if at in parts and not member.fault else member
        for at, member in enumerate(members)
    ]
    return whole.hexdigest(), proven


def _differs(where: str, expected: str) -> StorageUnavailable:
    return StorageUnavailable(
        "an archive does not arrive as it was sent",
        where=where,
        found=f"{_TRIES} readings, expected sha256 {expected or 'unknown'}",
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
