"""Digests of bytes, files and documents, and what follows where one differs."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pneumo_tasks.errors import CorruptArtefact


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(document: Any) -> bytes:
    """One byte sequence per document: sorted keys, no NaN, newline at the end."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode() + b"\n"


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
