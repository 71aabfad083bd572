"""Whether each decision was judged by the protocol that was active then, by the order of the ledger."""

from collections.abc import Sequence

from pydantic import ValidationError

from pneumo_tasks.errors import CorruptArtefact, ObjectMissing
from pneumo_tasks.promotion.judgement import Decision
from pneumo_tasks.promotion.ledger import ledger
from pneumo_tasks.promotion.protocol.activation import KIND, read_protocol
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, check_digest, sha256


def check_protocols(settings: Settings, store: ObjectStore, entries: Sequence[ledger.LedgerEntry]) -> str:
    """Read every activated protocol and every decision that an entry rests on; says how many.

    CorruptArtefact where a decision names another protocol than the one that was active: for a promotion
    the one of the last activation before its entry, for a refusal one that was activated before it. A
    decision that names none passes only before the first activation: it was made before there were any.
    """
    activations = [entry for entry in entries if entry.kind == KIND]
    for digest in {entry.sha256 or "" for entry in activations}:
        read_protocol(settings, store, digest)
    named = 0
    for entry in entries:
        if entry.decision is not None and entry.kind in ("promoted", "rejected"):
            body = store.read(entry.decision.key)  # whose digest is another finding
            before = [one for one in activations if one.seq < entry.seq]
            named += _check(store, entry, _decision(entry.decision.key, body), before)
    return f"{len(activations)} activations; {named} decisions name the protocol that was active then"


def _check(
    store: ObjectStore, entry: ledger.LedgerEntry, decision: Decision, before: Sequence[ledger.LedgerEntry]
) -> bool:
    """Whether the decision names a protocol; raises where it is not the right one."""
    if decision.protocol is None:
        if before:
            raise _wrong(entry, "names no protocol", before)
        return False
    if decision.protocol_seq == 0:
        if before and entry.kind == "promoted":
            raise _wrong(entry, f"names the embedded default {decision.protocol[:12]}", before)
        _check_kept(store, decision)
        return True
    allowed = before[-1:] if entry.kind == "promoted" else before
    if (decision.protocol_seq, decision.protocol) not in {(one.seq, one.sha256) for one in allowed}:
        said = f"names protocol {decision.protocol[:12]} of entry {decision.protocol_seq}"
        raise _wrong(entry, said, before)
    return True


def _check_kept(store: ObjectStore, decision: Decision) -> None:
    """The embedded default that the run kept is the one that its decision names."""
    key = layout.run(decision.run_id, "protocol.json")
    try:
        body = store.read(key)
    except ObjectMissing:
        raise CorruptArtefact(
            "the protocol of a decision is missing", where=key, do="Restore it from a backup."
        ) from None
    check_digest(sha256(body), decision.protocol or "", key)


def _decision(key: str, body: bytes) -> Decision:
    try:
        return Decision.model_validate_json(body)
    except ValidationError as error:
        found = " ".join(str(error).split())[:200]
        raise CorruptArtefact("not a decision", where=key, found=found) from None


def _wrong(entry: ledger.LedgerEntry, said: str, before: Sequence[ledger.LedgerEntry]) -> CorruptArtefact:
    held = f"{(before[-1].sha256 or '')[:12]} of entry {before[-1].seq}" if before else "the embedded default"
    return CorruptArtefact(
        "a decision was not judged by the protocol that was active then",
        where=layout.ledger_entry(entry.seq),
        found=f"{entry.run_id} {said}; active was {held}",
        do="Somebody wrote this decision by hand: roll back what it promoted, and judge the run again.",
    )
