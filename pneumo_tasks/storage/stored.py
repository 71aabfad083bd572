"""What the store answers with: an object that was read, and one line of a listing."""

from dataclasses import dataclass
from datetime import datetime


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
