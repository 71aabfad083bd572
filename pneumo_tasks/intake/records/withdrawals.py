"""Taking a batch back: its images leave the next snapshot, its objects stay for the record."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pneumo_tasks.errors import BadBatch, ObjectMissing
from pneumo_tasks.intake.records.catalogue import CatalogueEntry, open_catalogue, read_catalogue
from pneumo_tasks.intake.sent.batches import Batch, Progress, read_batch, upload_batch
from pneumo_tasks.journal import now
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.documents import understood
from pneumo_tasks.storage.many_reads import read_many
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json

_THREADS = 16


class Withdrawal(BaseModel):
    """withdrawals/<batch_id>.json: who took a batch back, when and why.

    ``chain`` are the batches that it replaced and that replaced it: they are out with it.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    by: str
    reason: str
    at: str
    chain: list[str] = []


def withdraw_batch(store: ObjectStore, batch_id: str, by: str, reason: str) -> Withdrawal:
    """Take a complete batch out of every later snapshot; the first withdrawal of a batch stands.

    What it replaced does not come back, and what replaced it goes too. Raises BadBatch without a
    reason, ObjectMissing where there is no complete batch of that id.
    """
    if not reason.strip():
        raise BadBatch("a withdrawal needs a reason", where=batch_id, do="Say why, with --reason.")
    batch, _ = read_batch(store, batch_id)
    links = {entry.verdict.batch_id: entry.batch.replaces for entry in open_catalogue(store).entries}
    chain = sorted(_connected({batch_id}, {**links, batch_id: batch.replaces}) - {batch_id})
    withdrawal = Withdrawal(batch_id=batch_id, by=by, reason=reason, at=now(), chain=chain)
    body = store.put_once(layout.withdrawal(batch_id), canonical_json(withdrawal.model_dump(mode="json")))
    return Withdrawal.model_validate_json(body)


def read_withdrawals(store: ObjectStore) -> dict[str, Withdrawal]:
    """Every withdrawal by its batch; one request for each, and a listing."""
    keys = [listed.key for listed in store.list_objects(layout.WITHDRAWALS)]
    keys = [key for key in keys if layout.is_withdrawal(key)]
    documents = read_many(store.read_json, keys, threads=_THREADS)
    with understood(layout.WITHDRAWALS):
        found = [Withdrawal.model_validate(document) for document in documents]
    return {withdrawal.batch_id: withdrawal for withdrawal in found}


def withdrawn_with(withdrawals: dict[str, Withdrawal], links: dict[str, list[str]]) -> dict[str, Withdrawal]:
    """The withdrawal of each batch that is out: its own, or one of its chain in either direction."""
    out: dict[str, Withdrawal] = {}
    for batch_id, withdrawal in sorted(withdrawals.items()):
        links_too = {**links, batch_id: [*links.get(batch_id, []), *withdrawal.chain]}
        for other in _connected({batch_id}, links_too):
            out.setdefault(other, withdrawal)
    return out | withdrawals


def withdrawn_batches(store: ObjectStore, entries: Iterable[CatalogueEntry]) -> set[str]:
    """The ids of all batches that are withdrawn, by themselves or with their chain."""
    withdrawals = read_withdrawals(store)
    links = {entry.verdict.batch_id: entry.batch.replaces for entry in entries}
    for batch_id, withdrawal in withdrawals.items():
        if batch_id not in links and not withdrawal.chain:
            with suppress(ObjectMissing, BadBatch):
                links[batch_id] = read_batch(store, batch_id)[0].replaces
    return set(withdrawn_with(withdrawals, links))


def _connected(start: set[str], links: dict[str, list[str]]) -> set[str]:
    """Every batch that is joined to ``start`` by replacements, in either direction."""
    joined: dict[str, set[str]] = {}
    for new, olds in links.items():
        for old in olds:
            joined.setdefault(new, set()).add(old)
            joined.setdefault(old, set()).add(new)
    found, ahead = set(start), list(start)
    while ahead:
        more = joined.get(ahead.pop(), set()) - found
        found |= more
        ahead += more
    return found


def resubmit_batch(
    settings: Settings, store: ObjectStore, source: Path, batch_id: str, on_progress: Progress | None = None
) -> Batch:
    """Send a corrected batch in place of ``batch_id``; it gets an id of its own, ``<batch_id>-r<n>``.

    The replaced batch counts until the new one is accepted: a failed correction loses nothing.
    """
    old, _ = read_batch(store, batch_id)
    if batch_id in withdrawn_batches(store, open_catalogue(store).entries):
        raise BadBatch("the batch was withdrawn", where=batch_id, do="Upload it under another id.")
    replaces = [*old.replaces, batch_id]
    return upload_batch(
        settings, store, source, f"{replaces[0]}-r{len(replaces) + 1}", old.split, old.synthetic, on_progress,
        replaces=replaces, unlabelled=old.unlabelled,
    )  # fmt: skip


def read_datasheet(store: ObjectStore, batch_id: str) -> bytes:
    """datasheet.html of a validated batch; ObjectMissing where there is none yet."""
    entry = read_catalogue(store).of(batch_id)
    if entry:
        return store.read(entry.verdict.evidence("datasheet.html"))
    _, digest = read_batch(store, batch_id)
    try:
        return store.read(layout.validation(batch_id, digest, "datasheet.html"))
    except ObjectMissing:
        raise ObjectMissing(
            "the batch has no datasheet yet", where=batch_id, do="Validate it: start a run."
        ) from None
