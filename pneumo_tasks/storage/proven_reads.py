"""Proven reads: what arrived is what was stored, or it is read again; never is damage handed on.

A proof is the digest that the caller knows, the sha256 that the writer recorded, or an ETag that is an MD5.
One wrong answer says nothing about an object. The same wrong bytes several times, each in a proper answer,
say that the object is damaged.
"""

import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pneumo_tasks.errors import CorruptArtefact, StorageUnavailable
from pneumo_tasks.storage.digests import check_digest, check_recorded, sha256

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

READS = 5  # at most, of one object
AGREEING = 3  # so many proper answers with the same wrong bytes are a verdict on the object
_PAUSE = 0.1  # seconds before the second read, doubled before each further one
_MD5 = re.compile(r'"([0-9a-f]{32})"')


class Damaged(StorageUnavailable):
    """An answer that is not what was stored. ``verdict`` is raised where repeated reads agree on it."""

    def __init__(self, what: str, *, verdict: CorruptArtefact | None = None, **facts: str) -> None:
        super().__init__(what, **facts)
        self.verdict = verdict


@dataclass(frozen=True)
class Received:
    """One answer to a GET of a whole object: its bytes, and what the store says about them."""

    body: bytes
    etag: str
    metadata: Mapping[str, str]
    encryption: str = ""
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha256(self.body))


def until_proven(attempt: Callable[[], Answer], where: str) -> Answer:
    """The first answer of ``attempt`` that is not Damaged.

    CorruptArtefact where repeated reads agree on the same wrong bytes, else StorageUnavailable.
    """
    seen: Counter[str] = Counter()
    reasons: list[str] = []
    for number in range(READS):
        if number:
            time.sleep(_PAUSE * 2 ** (number - 1))
        try:
            return attempt()
        except Damaged as damage:
            reasons.append(str(damage))
            log.warning("read again: %s", damage)
            if damage.verdict is not None:
                seen[damage.verdict.found] += 1
                if seen[damage.verdict.found] == AGREEING:
                    raise damage.verdict from None
    raise StorageUnavailable(
        "what arrives is not what was stored",
        where=where,
        found=f"{READS} reads; the last: {reasons[-1]}",
        do="Look at the network and at what stands between this machine and the object store.",
    )


def prove(received: Received, where: str, expected: str | None = None) -> None:
    """Damaged unless the bytes are those that the caller, the writer or the ETag names.

    CorruptArtefact at once where the writer's own record proves that these are other bytes than expected.
    """
    recorded = received.metadata.get("sha256", "")
    try:
        check_recorded(recorded, received.digest, where)
        if expected is not None and not recorded:
            check_digest(received.digest, expected, where)
        elif not recorded:
            _check_etag(received, where)
    except CorruptArtefact as verdict:
        raise Damaged("the bytes that arrived are others", where=where, verdict=verdict) from None
    if expected is not None:
        check_digest(received.digest, expected, where)


def is_proven(received: Received, expected: str | None = None) -> bool:
    try:
        prove(received, "", expected)
    except (Damaged, CorruptArtefact):
        return False
    return True


def encryption_of(answer: Mapping[str, Any]) -> str:
    """How the store encrypts an object; under a key of its own the ETag is no MD5."""
    return str(answer.get("SSECustomerAlgorithm") or answer.get("ServerSideEncryption") or "")


def is_range(told: str, start: int, length: int, arrived: int) -> bool:
    """Whether a Content-Range such as ``bytes 0-99/2000`` answers the question, and all of it arrived."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", told)
    if found is None:
        return False
    first, last, size = map(int, found.groups())
    return first == start and last == min(start + length, size) - 1 and arrived == last - first + 1


def _check_etag(received: Received, where: str) -> None:
    """CorruptArtefact where the ETag is an MD5 (one part, no key of its own), and not that of the bytes."""
    named = _MD5.fullmatch(received.etag)
    if named is None or received.encryption not in ("", "AES256"):
        return
    found = hashlib.md5(received.body, usedforsecurity=False).hexdigest()
    if found != named[1]:
        raise CorruptArtefact(
            "the stored bytes changed",
            where=where,
            found=f"md5 {found}, its ETag says {named[1]}",
            do="Restore the object from a backup or write it again.",
        )
