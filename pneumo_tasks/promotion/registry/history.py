"""What was the champion when, and which former ones can come back."""

import itertools
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.approval import Approval
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.registry.pointer import read_pointer
from pneumo_tasks.storage.object_store import ObjectStore


class Chapter(BaseModel):
    """A ledger entry as people read it; ``live``: it moved the champion, which lasted ``until``."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: str
    kind: str
    version: str | None
    run_id: str | None
    by: str
    reason: str
    live: bool
    until: str | None
    approval: Approval | None = None


def read_history(store: ObjectStore) -> list[Chapter]:
    """Every entry of the ledger, oldest first; refusals and lost races are not ``live``."""
    entries = ledger.read_ledger(store)
    pointer, _ = read_pointer(store)
    walk = ledger.effective(entries, pointer.seq) if pointer else []
    ended = {former.seq: following.at for former, following in itertools.pairwise(walk)}
    live = {entry.seq for entry in walk}
    fields = set(Chapter.model_fields) - {"live", "until"}
    return [
        Chapter(**entry.model_dump(include=fields), live=entry.seq in live, until=ended.get(entry.seq))
        for entry in entries
    ]


def former_champions(store: ObjectStore) -> list[Chapter]:
    """What a rollback can bring back: each version that was live and is not now, the last one first."""
    live = [chapter for chapter in read_history(store) if chapter.live and chapter.version]
    pointer, _ = read_pointer(store)
    newest = {chapter.version: chapter for chapter in live if pointer and chapter.version != pointer.version}
    return sorted(newest.values(), key=lambda chapter: chapter.seq, reverse=True)


def champion_at(store: ObjectStore, moment: str) -> Chapter | None:
    """What was live at ``moment`` (ISO 8601; a date means its end, UTC); None before the first."""
    limit = _moment(moment)
    live = [chapter for chapter in read_history(store) if chapter.live]
    # A clock may jump back; the ledger's numbers never do. An entry counts from the last moment before it.
    since = itertools.accumulate((datetime.fromisoformat(chapter.at) for chapter in live), max)
    known = [chapter for chapter, began in zip(live, since, strict=True) if began <= limit]
    return known[-1] if known else None


def _moment(given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise BadConfiguration(f"{given!r} is no date", do="Write 2026-11-23 or 2026-11-23T08:00.") from None
    if len(given) <= len("2026-11-23"):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
